import { InvalidArgumentError } from '../errors.ts';
import { clientLoss } from './client-loss.ts';
import type { RoundState, RunState } from './state.ts';

const METRICS = ['heldOutLoss', 'clientLoss', 'noImprovement'] as const;
type StopMetric = (typeof METRICS)[number];

/** One condition under which a run is complete before its last round. */
export interface StopCondition {
  readonly metric: StopMetric;
  readonly comparison: '<' | '<=' | '>' | '>=';
  readonly value: number;
}

const CONDITION = /^([A-Za-z]+)\s*(<=|>=|<|>)\s*(\S+)$/;
const HINT =
  'For example heldOutLoss<0.8, clientLoss<0.5 or noImprovement>=5 (evaluations in a row without a new lowest held-out loss); ' +
  'several conditions are joined with "or".';

/**
 * Reads the text of `stopWhen`: conditions joined with `or`, of which one is enough.
 *
 * `heldOutLoss` is the policy loss on the held-out datasets of the newest round that was evaluated, `clientLoss` the mean policy loss of the
 * newest round's clients, `noImprovement` the number of evaluations since the lowest held-out loss (the initial model's evaluation counts).
 *
 * @throws InvalidArgumentError naming the part that cannot be read.
 */
export function parseStopRule(text: string): readonly StopCondition[] {
  return text.split(/\s+or\s+/).map((part) => {
    const [, metric = '', comparison = '', number = ''] = CONDITION.exec(part.trim()) ?? [];
    const value = Number(number);
    if (comparison === '' || !Number.isFinite(value)) {
      throw new InvalidArgumentError(`stopWhen: ${JSON.stringify(part.trim())} is not a condition such as heldOutLoss<0.8`, { hint: HINT });
    }
    const known = METRICS.find((name) => name === metric);
    if (known === undefined) {
      throw new InvalidArgumentError(`stopWhen: there is no ${metric}; the values are ${METRICS.join(', ')}`, { hint: HINT });
    }
    if (known === 'noImprovement' && (!comparison.startsWith('>') || !Number.isInteger(value) || value < 1)) {
      throw new InvalidArgumentError(`stopWhen: noImprovement takes > or >= and a whole number of evaluations, not ${comparison}${number}`, { hint: HINT });
    }
    return { metric: known, comparison: comparison as StopCondition['comparison'], value };
  });
}

/**
 * Why a run is complete before its last round; `null` while it is not. A pure function of the run's history, so a restarted server decides
 * the same.
 */
export function stopReason(state: RunState): string | null {
  const { stopWhen } = state.config;
  const last = state.rounds.at(-1);
  if (stopWhen === undefined || last?.phase !== 'done') return null;
  for (const { metric, comparison, value } of parseStopRule(stopWhen)) {
    const current = valueOf(metric, state, last);
    if (current === null || !holds(current, comparison, value)) continue;
    return `${metric} is ${Number(current.toPrecision(4))} after round ${last.round}, and the run was to stop when ${metric}${comparison}${value}`;
  }
  return null;
}

/** The finished round with the lowest held-out loss, the earliest of several; `undefined` before the first evaluation of a round. */
export function bestRound({ rounds }: Pick<RunState, 'rounds'>): RoundState | undefined {
  let best: RoundState | undefined;
  for (const round of rounds) {
    if (round.evaluation == null) continue;
    if (best === undefined || round.evaluation.policyLoss < best.evaluation!.policyLoss) best = round;
  }
  return best;
}

function valueOf(metric: StopMetric, state: RunState, last: RoundState): number | null {
  switch (metric) {
    case 'heldOutLoss':
      return last.evaluation?.policyLoss ?? null;
    case 'clientLoss':
      return meanClientLoss(last);
    case 'noImprovement':
      return last.evaluation == null ? null : evaluationsSinceBest(state);
  }
}

function meanClientLoss({ participants, aggregate }: RoundState): number | null {
  const excluded = new Set((aggregate?.excluded ?? []).map(({ clientId }) => clientId));
  const losses = [...participants].flatMap(([clientId, { outcome }]) => {
    const loss = outcome.state === 'accepted' && !excluded.has(clientId) ? clientLoss(outcome.metrics) : undefined;
    return loss === undefined ? [] : [loss];
  });
  return losses.length === 0 ? null : losses.reduce((sum, loss) => sum + loss / losses.length, 0);
}

function evaluationsSinceBest({ baseline, rounds }: RunState): number {
  const losses = [baseline, ...rounds.map(({ evaluation }) => evaluation)].flatMap((one) => (one == null ? [] : [one.policyLoss]));
  const best = losses.indexOf(losses.reduce((least, loss) => Math.min(least, loss), Infinity));
  return losses.length - 1 - best;
}

function holds(current: number, comparison: StopCondition['comparison'], value: number): boolean {
  switch (comparison) {
    case '<':
      return current < value;
    case '<=':
      return current <= value;
    case '>':
      return current > value;
    case '>=':
      return current >= value;
  }
}
