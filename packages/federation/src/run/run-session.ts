import { nextAction, type RunState } from '@zk0/core';
import { closeAll } from '../close-all.ts';
import type { LedgerEntry, LedgerRun } from '../ledger/ledger.ts';
import type { FederationLog } from '../log.ts';
import { blobCollector } from '../observers/collect-blobs.ts';
import { ObserverRunner } from '../observers/observer-runner.ts';
import type { Observer } from '../observers/observer.ts';
import { RunDriver } from './run-driver.ts';
import { RunWork, type RunWorkOptions } from './run-work.ts';
import { UpdateIntake } from './update-intake.ts';

/** What is opened for a run that begins to be driven. */
export interface OpenedRun {
  readonly log: FederationLog;
  readonly observers: readonly Observer[];
  close?(): Promise<void>;
}

/** What a session needs of its surroundings. */
export interface RunSessionOptions extends Omit<RunWorkOptions, 'runId' | 'createdAt' | 'configuredAt' | 'log'> {
  readonly opened: OpenedRun;
  /** Told what the run waits for, whenever that changes. */
  readonly onWaiting: (reason: string) => void;
}

/** One run while this process drives it: driver, effects, intake of results, observers. */
export class RunSession {
  readonly runId: string;
  readonly driver: RunDriver;
  readonly intake: UpdateIntake;
  readonly #work: RunWork;
  readonly #observers: ObserverRunner;
  readonly #opened: OpenedRun;
  #waiting: string | null = null;

  constructor(run: LedgerRun, options: RunSessionOptions) {
    const { opened, ledger, blobs, clock, queue } = options;
    const { log } = opened;
    this.runId = run.state.runId;
    this.#opened = opened;
    const configuredAt = (): readonly Date[] => this.driver.configuredAt;
    const workOptions = { ...options, runId: this.runId, createdAt: run.createdAt, configuredAt, log };
    this.#work = new RunWork(workOptions);
    this.driver = new RunDriver(run, {
      ...workOptions,
      work: this.#work,
      onWaiting: (reason) => {
        if (reason !== null && reason !== this.#waiting) {
          log.info(`waiting: ${reason}`);
          options.onWaiting(reason);
        }
        this.#waiting = reason;
      },
    });
    this.intake = new UpdateIntake({
      runId: this.runId,
      ledger,
      log,
      clock,
      inspect: (state, update) => this.#work.inspect(state, update),
      onSettled: (clientId, taskId) => queue.withdraw(clientId, taskId),
    });
    this.#observers = new ObserverRunner([...opened.observers, blobCollector(ledger, blobs)], { clock, log });
    this.#observers.resume(run);
  }

  /** What the run waits for; `null` while it goes on. */
  get waiting(): string | null {
    return this.#waiting;
  }

  /** Why a client gets no work of this run, as far as that is known. */
  misfit(clientId: string): string | undefined {
    const barred = this.driver.state.barred.get(clientId);
    return barred === undefined ? this.#work.misfit(clientId) : `it is excluded from this run: ${barred}`;
  }

  /** Something was recorded. */
  notify(entry: LedgerEntry, run: LedgerRun): void {
    this.#observers.notify(entry, run);
  }

  /** Drives the run to its end, to where it is paused, or until `signal` aborts. */
  async drive(signal: AbortSignal): Promise<RunState> {
    const state = await this.driver.run(signal);
    // Why a run has failed, the driver has said.
    if (nextAction(state).do === 'rest') {
      this.#opened.log.info(`run ${this.runId} is paused (${state.paused ?? ''})`);
      return state;
    }
    const why = state.ending === undefined || state.phase === 'failed' ? '' : ` (${state.ending.message})`;
    this.#opened.log.info(`run ${this.runId}: ${state.phase}${why}`);
    return state;
  }

  /** Observers finish what they can; nothing that fails here keeps the rest from closing. */
  async close(): Promise<void> {
    await closeAll(this.#opened.log, [() => this.#observers.close(), () => this.#opened.close?.() ?? Promise.resolve()]);
  }
}
