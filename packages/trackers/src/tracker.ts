import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '@zk0/core';
import type { TrackerAddress } from './address.ts';
import { TrackerError } from './errors.ts';
import type { TrackerLine } from './lines.ts';
import { mlflow } from './mlflow.ts';
import type { Service, ServiceOptions } from './service.ts';
import { TrackerSpool } from './spool.ts';
import { trackio } from './trackio.ts';
import { wandb } from './wandb.ts';

const SERVICES: Readonly<Record<TrackerAddress['service'], (options: ServiceOptions) => Service>> = { mlflow, trackio, wandb };
const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 60_000;

/** Where a tracker says what becomes of its lines. */
export interface TrackerLog {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** What a tracker is made of. */
export interface TrackerOptions {
  /** Folder for what the tracker does not have yet. */
  readonly directory: string;
  readonly log: TrackerLog;
  /** Where credentials come from. @default process.env */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Pause after the first failure, doubled after each. @default 1000 */
  readonly firstPauseMs?: number;
  /** Most bytes that are kept. @default 64 MiB */
  readonly maxBytes?: number;
}

/**
 * Sends one run's figures to one tracker. Lines are kept in a file first, and sent from there one batch after another: whoever adds them waits for
 * the disk alone. What the tracker does not have when the process ends is sent by whoever opens the same folder next.
 */
export class Tracker {
  readonly address: TrackerAddress;
  readonly #spool: TrackerSpool;
  readonly #service: Service;
  readonly #log: TrackerLog;
  readonly #firstPauseMs: number;
  readonly #stop = new AbortController();
  #working: Promise<void> | undefined;
  #isInTrouble = false;

  /** Opens the folder; what it holds is sent at once. @throws TrackerError `TRACKER_SPOOL_UNUSABLE` */
  constructor(address: TrackerAddress, { directory, log, environment = process.env, firstPauseMs = FIRST_PAUSE_MS, maxBytes }: TrackerOptions) {
    this.address = address;
    this.#spool = new TrackerSpool(directory, address, maxBytes);
    this.#service = SERVICES[address.service]({ address, environment });
    this.#log = log;
    this.#firstPauseMs = firstPauseMs;
    this.#work();
  }

  get lastStep(): number {
    return this.#spool.lastStep;
  }
  get isEmpty(): boolean {
    return this.#spool.isEmpty;
  }
  get hasEnd(): boolean {
    return this.#spool.hasEnd;
  }
  /** Whether it was added how often the policy of a step did its task. */
  hasSuccess(step: number): boolean {
    return this.#spool.hasSuccess(step);
  }
  /** Lines that the tracker does not have yet. */
  get unsent(): number {
    return this.#spool.unsent;
  }

  /** Keeps a line and sends it when it can. @throws the file system's error when it cannot be kept */
  add(line: TrackerLine): void {
    const before = this.#spool.dropped;
    if (!this.#spool.add(line) && before === 0) this.#log.error(`${this.address.text}: no more than is waiting already is kept for it; further figures stay in the run's own files`);
    this.#work();
  }

  /**
   * Waits until the tracker has everything, or for `ms`; then stops. Lines that it does not have stay in the folder.
   *
   * @returns lines that it does not have
   */
  async close(ms: number): Promise<number> {
    const enough = new AbortController();
    const timeout = sleep(ms, undefined, { signal: enough.signal }).then(() => { this.#stop.abort(); }, () => undefined);
    await this.#working;
    enough.abort();
    await timeout;
    this.#stop.abort();
    return this.unsent;
  }

  #work(): void {
    if (this.#stop.signal.aborted || this.#spool.unsent === 0) return;
    this.#working ??= this.#sendAll().finally(() => {
      this.#working = undefined;
      // A line may have come between the last look and here.
      this.#work();
    });
  }

  async #sendAll(): Promise<void> {
    let pause = this.#firstPauseMs;
    const isOver = (): boolean => this.#stop.signal.aborted;
    while (this.#spool.unsent > 0 && !isOver()) {
      try {
        await this.#sendBatch();
        if (this.#isInTrouble) this.#log.info(`${this.address.text}: figures are sent again`);
        this.#isInTrouble = false;
        pause = this.#firstPauseMs;
      } catch (error) {
        if (isOver()) return;
        if (!this.#isInTrouble) this.#log.warn(`${errorMessage(error)}; figures are kept and sent later, the run goes on`);
        this.#isInTrouble = true;
        await sleep(pause, undefined, { signal: this.#stop.signal }).catch(() => undefined);
        pause = Math.min(2 * pause, MAX_PAUSE_MS);
      }
    }
  }

  async #sendBatch(): Promise<void> {
    let { lines, ends } = await this.#spool.batch();
    for (;;) {
      try {
        const remote = await this.#service.send(lines, this.#spool.remote, this.#stop.signal);
        await this.#spool.advance(lines.length, ends.at(-1)!, remote);
        return;
      } catch (error) {
        if (!(error instanceof TrackerError) || error.code !== 'TRACKER_REFUSED') throw error;
        if (lines.length > 1) {
          // One of them is the reason: those before it are sent, then it stands alone.
          const half = lines.length >> 1;
          [lines, ends] = [lines.slice(0, half), ends.slice(0, half)];
          continue;
        }
        this.#log.error(`${this.address.text} refuses a line for what is in it, and does not get it: ${error.message}`);
        await this.#spool.advance(1, ends[0]!, this.#spool.remote, 1);
        return;
      }
    }
  }
}
