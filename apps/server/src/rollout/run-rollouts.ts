import { basename, join } from 'node:path';
import { programName } from '@zk0/cli';
import { CancelledError, errorMessage, type RunConfig } from '@zk0/core';
import { formatRate, type RolloutReport } from '@zk0/rollout';
import type { SuccessRecord } from '../outputs/types.ts';
import { runProgram } from '../run-program.ts';

/** Rounds come first: what tries policies gets what they leave of the processor. */
const NICENESS = 10;

/** What is tried, and how often. */
export type RolloutSettings = NonNullable<RunConfig['rollouts']>;

export interface RunRolloutsOptions {
  readonly settings: RolloutSettings;
  /** Execution provider. */
  readonly device: string;
  /** Folder of the clips of a checkpoint: one success and one failure are filmed. */
  readonly clipsOf: (checkpoint: string) => string;
  /** Folder of what the programs say. */
  readonly logDirectory: string;
  /** Ends what is being tried, and drops what waits. */
  readonly signal: AbortSignal;
  readonly log: { info(message: string): void; warn(message: string): void };
  readonly onResult: (record: SuccessRecord, checkpoint: string) => Promise<void>;
}

/**
 * Tries the checkpoints of a run, one at a time, in the order in which they were asked for. Each is a `zk0-server rollout` of its own,
 * on one thread and at a lower priority than the rounds, which do not wait for it. What cannot be tried is logged, and the run goes on.
 */
export class RunRollouts {
  readonly #options: RunRolloutsOptions;
  readonly #asked = new Set<number>();
  #last: Promise<void> = Promise.resolve();

  constructor(options: RunRolloutsOptions) {
    this.#options = options;
  }

  /** Asks for a round's checkpoint to be tried, once. */
  request(round: number, checkpoint: string): void {
    if (this.#asked.has(round)) return;
    this.#asked.add(round);
    this.#last = this.#last.then(() => this.#try(round, checkpoint));
  }

  /** Resolves when nothing waits or is being tried any more. */
  async idle(): Promise<void> {
    for (let last; last !== this.#last;) await (last = this.#last);
  }

  async #try(round: number, checkpoint: string): Promise<void> {
    const { settings, device, clipsOf, logDirectory, signal, log, onResult } = this.#options;
    if (signal.aborted) return;
    const { tasks, trials, seed } = settings;
    const args = ['rollout', '--policy', checkpoint, ...tasks.flatMap((task) => ['--task', task]), '--trials', String(trials), '--seed', String(seed)];
    try {
      const said = await runProgram({
        which: 'server',
        args: [...args, '--device', device, '--threads', '1', '--no-baselines', '--json', '--video', clipsOf(basename(checkpoint)), '--clips', '1'],
        log: join(logDirectory, `rollout_round_${round}.log`),
        niceness: NICENESS,
        signal,
      });
      const { successes, rate, low, high, secondsToSuccess, failures, places, ...report } = JSON.parse(said) as RolloutReport & { readonly notes?: readonly string[] };
      const { notes } = report;
      const record = { round, tasks, successes, trials: report.trials, rate, low, high, secondsToSuccess, failures, places, seed: report.seed, ...(notes === undefined ? {} : { notes }) };
      log.info(`round ${round}: success ${formatRate(record)} in ${record.trials} trials`);
      await onResult(record, checkpoint);
    } catch (error) {
      if (error instanceof CancelledError) return;
      log.warn(`round ${round}: its policy could not be tried: ${errorMessage(error)}; try it with: ${programName('zk0-server')} ${args.join(' ')}`);
    }
  }
}
