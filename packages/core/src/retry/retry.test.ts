import { describe, expect, it } from 'vitest';
import { Zk0Error } from '../errors.ts';
import { parseRetryAfter, retry, type RetryPause, type RetryPolicy } from './retry.ts';

const busy = new Zk0Error('BUSY', 'busy');

function policy(slept: number[], over: Partial<RetryPolicy> = {}): RetryPolicy {
  return {
    initialMs: 100,
    maxMs: 1000,
    passing: (thrown) => (thrown === busy ? { error: busy, retryAfterMs: 0 } : null),
    random: () => 1,
    sleep: (ms) => {
      slept.push(ms);
      return Promise.resolve();
    },
    ...over,
  };
}

/** Fails so often, then succeeds. */
function failing(times: number): () => Promise<string> {
  return () => (times-- > 0 ? Promise.reject(busy) : Promise.resolve('done'));
}

describe('retry', () => {
  it('doubles its pauses up to a bound, and starts anew after progress', async () => {
    const slept: number[] = [];
    expect(await retry('it', undefined, failing(6), policy(slept))).toBe('done');
    expect(slept).toEqual([100, 200, 400, 800, 1000, 1000]);
    const progressing: number[] = [];
    await retry('it', undefined, failing(4), policy(progressing, { progressed: () => progressing.length === 2 }));
    expect(progressing).toEqual([100, 200, 100, 200]);
  });

  it('waits at least as long as it was asked to, within reason', async () => {
    const slept: number[] = [];
    const asked = [5000, 10 ** 9];
    await retry('it', undefined, failing(2), policy(slept, { passing: () => ({ error: busy, retryAfterMs: asked.shift()! }) }));
    expect(slept).toEqual([5000, 300_000]);
  });

  it('throws what is final at once, and gives up when told to', async () => {
    const slept: number[] = [];
    const final = new Error('final');
    await expect(retry('it', undefined, () => Promise.reject(final), policy(slept))).rejects.toBe(final);
    const pauses: RetryPause[] = [];
    const onPause = (pause: RetryPause): void => {
      pauses.push(pause);
      if (pause.attempt === 3) throw pause.error;
    };
    await expect(retry('it', undefined, failing(9), policy(slept, { onPause }))).rejects.toBe(busy);
    expect(pauses.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(slept).toEqual([100, 200]);
  });

  it('ends a pause on abort', async () => {
    const abort = new AbortController();
    const slow: RetryPolicy = { initialMs: 60_000, maxMs: 60_000, random: () => 1, passing: () => ({ error: busy, retryAfterMs: 0 }) };
    const running = retry('it', abort.signal, failing(9), slow);
    setTimeout(() => {
      abort.abort();
    }, 5);
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('Retry-After', () => {
  it('is seconds or a date, never negative', () => {
    const now = Date.UTC(2026, 0, 31, 12);
    expect(parseRetryAfter('0', now)).toBe(0);
    expect(parseRetryAfter('120', now)).toBe(120_000);
    expect(parseRetryAfter('Sat, 31 Jan 2026 12:00:30 GMT', now)).toBe(30_000);
    expect(parseRetryAfter('Sat, 31 Jan 2026 11:00:00 GMT', now)).toBe(0);
    expect(parseRetryAfter(undefined, now)).toBeNull();
    expect(parseRetryAfter('soon', now)).toBeNull();
    expect(parseRetryAfter('-5', now) ?? 0).toBe(0);
  });
});
