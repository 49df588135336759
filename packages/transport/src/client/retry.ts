import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { CancelledError, parseRetryAfter, retry, Zk0Error, type PassingFailure } from '@zk0/core';
import { RemoteError, TransportError } from '../errors.ts';
import type { ConnectionState, RetryOptions } from './types.ts';

/** What may pass by itself. 4xx answers never do; the ones the other side calls busy or broken do. */
const PASSING = new Set<string>(['CONNECTION_REFUSED', 'CONNECTION_FAILED', 'CERTIFICATE_REFUSED', 'NO_PROGRESS', 'MESSAGE_DAMAGED', 'SIGNATURE_REPLAYED', 'BUSY', 'CLOSING', 'INTERNAL']);

/** Tries again for as long as it takes; remembers whether the server has ever answered. */
export class Retrier {
  readonly #options: RetryOptions;
  readonly #firstContactMs: number;
  readonly #sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  readonly #now: () => number;
  readonly #onState: (state: ConnectionState) => void;
  #hadContact = false;
  #connected: boolean | undefined;

  constructor(options: RetryOptions, onState: (state: ConnectionState) => void) {
    this.#options = options;
    this.#firstContactMs = options.firstContactMs ?? 10_000;
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
    return retry(what, signal, attempt, {
      initialMs: this.#options.initialMs ?? 1000,
      maxMs: this.#options.maxMs ?? 20_000,
      ...(this.#options.random === undefined ? {} : { random: this.#options.random }),
      sleep: this.#sleep,
      passing,
      progressed,
      onPause: (pause) => {
        if (!this.#hadContact && this.#now() - begun + pause.delayMs > this.#firstContactMs) throw pause.error;
        this.#connected = false;
        this.#onState({ state: 'retrying', ...pause });
      },
    });
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

function passing(thrown: unknown): PassingFailure | null {
  if (!(thrown instanceof Zk0Error)) return null;
  const passes =
    (thrown instanceof TransportError && PASSING.has(thrown.code)) ||
    (thrown instanceof RemoteError && (thrown.status >= 500 || thrown.status === 429));
  return passes ? { error: thrown, retryAfterMs: retryAfter.get(thrown) ?? 0 } : null;
}
