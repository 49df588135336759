import { randomInt } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { CancelledError, Zk0Error } from '@zk0/core';
import { RemoteError, TransportError } from '../errors.ts';
import type { ConnectionState, RetryOptions } from './types.ts';

/** What may pass by itself. 4xx answers never do; the ones the other side calls busy or broken do. */
const PASSING = new Set<string>(['CONNECTION_REFUSED', 'CONNECTION_FAILED', 'NO_PROGRESS', 'BUSY', 'CLOSING', 'INTERNAL']);
/** A server cannot make a client sleep for ever. */
const MAX_RETRY_AFTER_MS = 300_000;

/** An error of one attempt, with what the server said about when to come back. */
export interface AttemptFailure {
  readonly error: Zk0Error;
  readonly retryAfterMs: number;
}

/** Pauses between attempts; remembers whether the server has ever answered. */
export class Retrier {
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #firstContactMs: number;
  readonly #random: () => number;
  readonly #sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  readonly #now: () => number;
  readonly #onState: (state: ConnectionState) => void;
  #hadContact = false;
  #connected: boolean | undefined;

  constructor(options: RetryOptions, onState: (state: ConnectionState) => void) {
    this.#initialMs = options.initialMs ?? 1000;
    this.#maxMs = options.maxMs ?? 20_000;
    this.#firstContactMs = options.firstContactMs ?? 10_000;
    // Jitter must differ between clients: it comes from the system, not from a seed.
    this.#random = options.random ?? (() => randomInt(2 ** 32) / 2 ** 32);
    this.#sleep = options.sleep ?? ((ms, signal) => wait(ms, undefined, { signal }));
    this.#now = options.now ?? (() => performance.now());
    this.#onState = onState;
  }

  /** The server answered. */
  contact(): void {
    this.#hadContact = true;
    if (this.#connected === true) return;
    this.#connected = true;
    this.#onState({ state: 'connected' });
  }

  /**
   * Calls `attempt` until it succeeds.
   *
   * @param progressed - asked after a failure: `true` when the attempt got somewhere, which starts the pauses anew.
   * @throws what `attempt` threw, when it is final or the first contact took too long; CancelledError on abort.
   */
  async run<T>(
    what: string,
    signal: AbortSignal | undefined,
    attempt: () => Promise<T>,
    progressed: () => boolean = () => false,
  ): Promise<T> {
    const begun = this.#now();
    for (let failures = 1; ; failures++) {
      if (isAborted(signal)) throw new CancelledError(what);
      try {
        return await attempt();
      } catch (thrown) {
        if (isAborted(signal)) throw new CancelledError(what, { cause: thrown });
        const failure = failureOf(thrown);
        if (failure === null) throw thrown;
        if (progressed()) failures = 1;
        const bound = Math.min(this.#maxMs, this.#initialMs * 2 ** Math.min(failures - 1, 30));
        const delayMs = Math.max(this.#random() * bound, Math.min(failure.retryAfterMs, MAX_RETRY_AFTER_MS));
        if (!this.#hadContact && this.#now() - begun + delayMs > this.#firstContactMs) throw failure.error;
        this.#connected = false;
        this.#onState({ state: 'retrying', error: failure.error, attempt: failures, delayMs });
        await this.pause(what, delayMs, signal);
      }
    }
  }

  /** Waits; @throws CancelledError on abort. */
  async pause(what: string, ms: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#sleep(ms, signal);
    } catch (cause) {
      throw new CancelledError(what, { cause });
    }
  }
}

/** Remembers what a `Retry-After` header asked for, until the retrier looks. */
const retryAfter = new WeakMap<Zk0Error, number>();

export function withRetryAfter(error: Zk0Error, header: string | undefined): Zk0Error {
  const ms = parseRetryAfter(header, Date.now());
  if (ms !== null) retryAfter.set(error, ms);
  return error;
}

/** RFC 9110: seconds, or a date. */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function failureOf(thrown: unknown): AttemptFailure | null {
  if (!(thrown instanceof Zk0Error)) return null;
  const passing =
    (thrown instanceof TransportError && PASSING.has(thrown.code)) ||
    (thrown instanceof RemoteError && (thrown.status >= 500 || thrown.status === 429));
  return passing ? { error: thrown, retryAfterMs: retryAfter.get(thrown) ?? 0 } : null;
}
