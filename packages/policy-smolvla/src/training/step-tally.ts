import type { StepReport } from './round.ts';

/** What a round's steps come to. */
export class StepTally {
  readonly #learningRates: readonly number[];
  #last: StepReport | undefined;
  /** Of the steps that were applied. */
  rateSum = 0;
  /** Of the last step that was applied, before clipping. */
  gradientNorm: number | undefined;
  /** Steps that were not applied. */
  skipped = 0;

  constructor(learningRates: readonly number[]) {
    this.#learningRates = learningRates;
  }

  add(step: number, report: StepReport): void {
    this.#last = report;
    if (!report.applied) {
      this.skipped++;
      return;
    }
    this.rateSum += this.#learningRates[step]!;
    this.gradientNorm = report.gradientNorm;
  }

  /** Of the last step. */
  get losses(): { readonly loss: number; readonly policy_loss: number; readonly fedprox_loss: number } {
    const { policyLoss, proximalLoss } = this.#last ?? { policyLoss: NaN, proximalLoss: 0 };
    return { loss: policyLoss + proximalLoss, policy_loss: policyLoss, fedprox_loss: proximalLoss };
  }
}
