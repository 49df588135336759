import { errorMessage, type Zk0Error } from '@zk0/core';
import type { Clock } from '../clock.ts';
import type { LedgerEntry, LedgerRun } from '../ledger/ledger.ts';
import type { FederationLog } from '../log.ts';
import type { Observer } from './observer.ts';

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;

/** What running observers needs. */
export interface ObserverRunnerOptions {
  readonly clock: Clock;
  readonly log: FederationLog;
  /** How long {@link ObserverRunner.close} waits for work that fails again and again, in ms (10 000). */
  readonly closeMs?: number;
}

/** Runs each observer by itself: trouble of one is reported once, tried again, and touches neither the run nor the other observers. */
export class ObserverRunner {
  readonly #workers: readonly ObserverWorker[];

  constructor(observers: readonly Observer[], options: ObserverRunnerOptions) {
    this.#workers = observers.map((observer) => new ObserverWorker(observer, options));
  }

  /** Every observer brings its files up to the run as it stands. */
  resume(run: LedgerRun): void {
    for (const worker of this.#workers) worker.push({ run });
  }

  notify(entry: LedgerEntry, run: LedgerRun): void {
    for (const worker of this.#workers) worker.push({ entry, run });
  }

  /** Resolves when everything so far has been handled, or given up after the time that closing allows. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }
}

interface Notice {
  readonly entry?: LedgerEntry;
  readonly run: LedgerRun;
}

class ObserverWorker {
  readonly #observer: Observer;
  readonly #options: ObserverRunnerOptions;
  readonly #giveUp = new AbortController();
  #notices: Notice[] = [];
  #working: Promise<void> | undefined;

  constructor(observer: Observer, options: ObserverRunnerOptions) {
    this.#observer = observer;
    this.#options = options;
  }

  push(notice: Notice): void {
    this.#notices.push(notice);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async close(): Promise<void> {
    const { clock, log, closeMs = 10_000 } = this.#options;
    const enough = new AbortController();
    if (this.#working !== undefined) {
      const timeout = clock.sleep(closeMs, enough.signal).then(() => { this.#giveUp.abort(); }, () => undefined);
      await this.#working;
      enough.abort();
      await timeout;
    }
    try {
      await this.#observer.close?.();
    } catch (error) {
      log.warn(`${this.#observer.name}: could not be closed: ${errorMessage(error)}`);
    }
  }

  async #work(): Promise<void> {
    const { clock, log } = this.#options;
    const { name } = this.#observer;
    let failed = false;
    let pauseMs = FIRST_PAUSE_MS;
    // The caller is in the middle of recording: observers begin after it.
    await Promise.resolve();
    while (this.#notices.length > 0) {
      const [notice] = this.#notices as [Notice, ...Notice[]];
      try {
        if (failed || notice.entry === undefined) await this.#observer.resume?.(notice.run);
        if (notice.entry !== undefined) await this.#observer.handle(notice.entry, notice.run);
        this.#notices.shift();
        if (failed) log.info(`${name}: caught up`);
        failed = false;
        pauseMs = FIRST_PAUSE_MS;
      } catch (error) {
        if (!failed) log.warn(`${name}: ${errorMessage(error)}; it is tried again, the run goes on`, { code: (error as Partial<Zk0Error>).code });
        failed = true;
        try {
          await clock.sleep(pauseMs, this.#giveUp.signal);
        } catch {
          log.warn(`${name}: ${this.#notices.length} events were not handled: ${errorMessage(error)}`);
          this.#notices = [];
        }
        pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
      }
    }
  }
}
