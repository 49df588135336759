import { setTimeout as wait } from 'node:timers/promises';
import { CancelledError } from '@zk0/core';

/** The longest delay that Node's timers hold, in ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Time, handed in so that a test can decide it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms`; @throws CancelledError when `signal` aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Waits so long; `false` when `signal` aborted first. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return !signal.aborted;
  } catch (error) {
    if (error instanceof CancelledError) return false;
    throw error;
  }
}

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    try {
      await wait(Math.min(Math.max(0, ms), MAX_TIMER_MS), undefined, signal === undefined ? {} : { signal });
    } catch (cause) {
      throw new CancelledError('waiting', { cause });
    }
  },
};
