import { isFinal, type ClientPrincipal, type ResultReply, type TaskResult } from '@zk0/core';
import { RunWork, type RunWorkOptions } from './run-work.ts';
import { UpdateIntake } from './update-intake.ts';

/** What taking in results of runs that another server drives needs. */
export type ResultIntakesOptions = Omit<RunWorkOptions, 'runId' | 'createdAt' | 'configuredAt' | 'onProgress' | 'parts'>;

/** Takes in results of runs that another server drives: it checks each update and records what became of it, and the driver reads that. */
export class ResultIntakes {
  readonly #options: ResultIntakesOptions;
  readonly #intakes = new Map<string, { readonly intake: UpdateIntake; readonly work: RunWork }>();

  constructor(options: ResultIntakesOptions) {
    this.#options = options;
  }

  async settle(client: ClientPrincipal, result: TaskResult): Promise<ResultReply> {
    const { runId } = result;
    // A task is handed out a moment before everybody has read that it was given.
    const run = await this.#options.ledger.refresh(runId);
    if (run === null || isFinal(run.state)) {
      await this.forget(runId);
      return { status: 'late', message: `run ${runId} is not running` };
    }
    let made = this.#intakes.get(runId);
    if (made === undefined) this.#intakes.set(runId, (made = this.#make(runId, run.createdAt)));
    return made.intake.settle(client, result);
  }

  /** Lets go of what was opened for a run. */
  async forget(runId: string): Promise<void> {
    const made = this.#intakes.get(runId);
    this.#intakes.delete(runId);
    await made?.work.close();
  }

  async close(): Promise<void> {
    for (const runId of [...this.#intakes.keys()]) await this.forget(runId);
  }

  #make(runId: string, createdAt: Date): { readonly intake: UpdateIntake; readonly work: RunWork } {
    const { ledger, log, clock, queue } = this.#options;
    const work = new RunWork({ ...this.#options, runId, createdAt, configuredAt: () => [], onProgress: () => undefined });
    const intake = new UpdateIntake({
      runId,
      ledger,
      log,
      clock,
      inspect: (state, update) => work.inspect(state, update),
      onSettled: (clientId) => queue.withdraw(clientId),
    });
    return { intake, work };
  }
}
