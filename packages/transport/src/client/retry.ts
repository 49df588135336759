import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { CancelledError, parseRetryAfter, retry, Zk0Error, type PassingFailure } from '@zk0/core';
import { RemoteError, TransportError } from '../errors.ts';
import type { ConnectionState, RetryOptions } from './types.ts';

/** What may pass by itself: a line that broke, an answer of somebody else, a server that is busy or failed. */
const PASSING = new Set<string>([
  'CONNECTION_REFUSED',
  'CONNECTION_FAILED',
  'CERTIFICATE_REFUSED',
  'FOREIGN_ANSWER',
  'MESSAGE_DAMAGED',
  'SIGNATURE_REPLAYED',
  'NO_PROGRESS',
  'BUSY',
  'CLOSING',
  'INTERNAL',
]);
/** What a server also says when the request was damaged on its way: believed when it is said again and again. */
const DOUBTFUL = new Set<string>([
  'UNAUTHORIZED',
  'SIGNATURE_INVALID',
  'CLOCK_SKEW',
  'WRONG_SERVER',
  'NODE_UNKNOWN',
  'BROWSER_REFUSED',
  'HOST_REFUSED',
  'MESSAGE_INVALID',
  'BODY_TOO_LARGE',
  'NOT_FOUND',
  'HASH_INVALID',
]);
/** So many times in a row. */
const BELIEVED_AFTER = 3;
/** Failures that no waiting cures while nobody has ever answered. */
const WRONG_ADDRESS = new Set<string>(['CONNECTION_REFUSED', 'CERTIFICATE_REFUSED']);
const UNKNOWN_NAME = /^(ENOTFOUND|EAI_\w+)$/;

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
    let doubts = 0;
    const doubtful = (thrown: unknown): PassingFailure | null => {
      if (!(thrown instanceof Zk0Error) || !DOUBTFUL.has(thrown.code) || ++doubts >= BELIEVED_AFTER) return null;
      return { error: thrown, retryAfterMs: 0 };
    };
    return retry(what, signal, attempt, {
      initialMs: this.#options.initialMs ?? 1000,
      maxMs: this.#options.maxMs ?? 20_000,
      ...(this.#options.random === undefined ? {} : { random: this.#options.random }),
      sleep: this.#sleep,
      passing: (thrown) => {
        const failure = passing(thrown);
        if (failure === null) return doubtful(thrown);
        doubts = 0;
        return failure;
      },
      progressed,
      onPause: (pause) => {
        const givesUp = !this.#hadContact && isWrongAddress(pause.error);
        if (givesUp && this.#now() - begun + pause.delayMs > this.#firstContactMs) throw pause.error;
        // A doubtful refusal is an answer: the connection stands, and what is asked once more is not worth a line.
        if (DOUBTFUL.has(pause.error.code)) return;
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

/** Node wraps what went wrong with several addresses into one error. */
export function causeCode(cause: unknown): string | undefined {
  if (cause instanceof AggregateError) return causeCode(cause.errors[0]);
  const { code, cause: inner } = (cause ?? {}) as { readonly code?: unknown; readonly cause?: unknown };
  if (typeof code === 'string') return code;
  return inner === undefined ? undefined : causeCode(inner);
}

function isWrongAddress(error: Zk0Error): boolean {
  return WRONG_ADDRESS.has(error.code) || UNKNOWN_NAME.test(causeCode(error.cause) ?? '');
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
