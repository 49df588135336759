import { randomInt } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { CancelledError, type Zk0Error } from '../errors.ts';

/** Another machine cannot make this one sleep for ever. */
const MAX_RETRY_AFTER_MS = 300_000;

/** An error of one attempt that may pass by itself. */
export interface PassingFailure<E extends Zk0Error = Zk0Error> {
  readonly error: E;
  /** What the other side asked to wait at least, in ms; 0 where it did not say. */
  readonly retryAfterMs: number;
}

/** A pause before the next attempt. */
export interface RetryPause<E extends Zk0Error = Zk0Error> {
  readonly error: E;
  /** Failures since something last moved, from 1. */
  readonly attempt: number;
  readonly delayMs: number;
}

/** When and how failures are tried again: exponential back-off with full jitter, `Retry-After` as a minimum. */
export interface RetryPolicy<E extends Zk0Error = Zk0Error> {
  /** Bound of the first pause, in ms; it doubles with every failure in a row. */
  readonly initialMs: number;
  /** Bound of every pause, in ms. */
  readonly maxMs: number;
  /** The failure when it may pass by itself; null when it is final, and is thrown as it is. */
  readonly passing: (thrown: unknown) => PassingFailure<E> | null;
  /** Asked after a failure: true when the attempt got somewhere, which starts the pauses anew. */
  readonly progressed?: () => boolean;
  /** Told before every pause; throws to give up. */
  readonly onPause?: (pause: RetryPause<E>) => void;
  /** Uniform in [0, 1). Jitter must differ between machines: by default it comes from the system, not from a seed. */
  readonly random?: () => number;
  /** Waits; rejects when the signal aborts. */
  readonly sleep?: (ms: number, signal?: AbortSignal) => Promise<void>;
}

/**
 * Calls `attempt` until it succeeds.
 *
 * @param what - named by the CancelledError.
 * @throws what `attempt` threw when it is final, what `onPause` threw, CancelledError on abort.
 */
export async function retry<T, E extends Zk0Error>(
  what: string,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
  policy: RetryPolicy<E>,
): Promise<T> {
  const { random = () => randomInt(2 ** 32) / 2 ** 32, sleep = pause } = policy;
  for (let failures = 1; ; failures++) {
    if (isAborted(signal)) throw new CancelledError(what);
    try {
      return await attempt();
    } catch (thrown) {
      if (isAborted(signal)) throw new CancelledError(what, { cause: thrown });
      const failure = policy.passing(thrown);
      if (failure === null) throw thrown;
      if (policy.progressed?.() === true) failures = 1;
      const bound = Math.min(policy.maxMs, policy.initialMs * 2 ** Math.min(failures - 1, 30));
      const delayMs = Math.max(random() * bound, Math.min(failure.retryAfterMs, MAX_RETRY_AFTER_MS));
      policy.onPause?.({ error: failure.error, attempt: failures, delayMs });
      try {
        await sleep(delayMs, signal);
      } catch (cause) {
        throw new CancelledError(what, { cause });
      }
    }
  }
}

/** Waits so many ms; rejects when the signal aborts. */
async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal });
}

/** Reads a `Retry-After` header (RFC 9110: seconds, or a date) as ms from now; null where there is none. */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}
