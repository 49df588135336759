import { setTimeout as wait } from 'node:timers/promises';
import { errorMessage } from '@zk0/core';
import { ChangeWaiters, type FederationLog } from '@zk0/federation';
import { StorageError } from '@zk0/storage';
import type { Bucket } from './bucket.ts';

/** Between two attempts to watch a bucket, in ms. */
const RETRY_MS = 500;
/** How long to wait until what this process wrote has come back, in ms. */
const SETTLE_MS = 10_000;

/** How a bucket is watched. */
export interface BucketWatchOptions {
  readonly bucket: Bucket;
  /** What it holds, for messages: `tasks`. */
  readonly what: string;
  readonly log: FederationLog;
  /** Called with every key as it stands when the watch begins, and again whenever it changes; `null` for one that was removed. */
  readonly onEntry: (key: string, value: Uint8Array | null, revision: number) => void;
}

/** Follows a bucket, again after every loss of the connection. */
export class BucketWatch {
  readonly #options: BucketWatchOptions;
  readonly #waiters = new ChangeWaiters();
  readonly #closing = new AbortController();
  readonly #watching: Promise<void>;
  #stop: () => void = () => undefined;
  #revision = 0;

  constructor(options: BucketWatchOptions) {
    this.#options = options;
    this.#watching = this.#watch();
  }

  /** Resolves at the next change of any key, or when `signal` aborts. */
  changed(signal: AbortSignal): Promise<void> {
    return this.#waiters.wait(signal);
  }

  /** Resolves when this process has seen what was written as that revision. @throws StorageError `STORE_UNREACHABLE` */
  async reached(revision: number): Promise<void> {
    const end = performance.now() + SETTLE_MS;
    while (this.#revision < revision) {
      await this.changed(AbortSignal.timeout(Math.max(1, Math.ceil(end - performance.now()))));
      if (this.#revision < revision && performance.now() >= end) {
        const { what } = this.#options;
        throw new StorageError('STORE_UNREACHABLE', `${what}: what was written does not come back from the NATS server`, { hint: 'Check that the NATS server runs, and the network.' });
      }
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#stop();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { bucket, what, log, onEntry } = this.#options;
    const isOpen = (): boolean => !this.#closing.signal.aborted;
    let isTroubled = false;
    while (isOpen()) {
      try {
        const entries = await bucket.kv.watch();
        this.#stop = () => { entries.stop(); };
        // It may have been closed while the watch began.
        if (!isOpen()) entries.stop();
        isTroubled = false;
        for await (const { key, value, revision, operation } of entries) {
          onEntry(key, operation === 'PUT' ? value : null, revision);
          this.#revision = Math.max(this.#revision, revision);
          this.#waiters.wake();
        }
      } catch (error) {
        if (!isTroubled && isOpen()) log.warn(`${what} cannot be watched at the moment: ${errorMessage(error)}`, { error });
        isTroubled = true;
      }
      await wait(RETRY_MS, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }
}
