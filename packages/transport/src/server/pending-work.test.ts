import { describe, expect, it, vi } from 'vitest';
import { PendingWork } from './pending-work.ts';

describe('work that takes long', () => {
  it('is answered at once when it is quick, and leaves nothing behind', async () => {
    const pending = new PendingWork(1000, 4);
    expect(await pending.answer('a', 'k', () => Promise.resolve(7))).toEqual({ done: true, value: 7 });
    expect(pending.size).toBe(0);
  });

  it('is answered in time, done once, and its outcome is given to who asks again', async () => {
    const pending = new PendingWork(10, 4);
    let finish: (value: number) => void = () => undefined;
    const start = vi.fn(() => new Promise<number>((resolve) => { finish = resolve; }));
    expect(await pending.answer('a', 'k', start)).toEqual({ done: false });
    expect(await pending.answer('a', 'k', start)).toEqual({ done: false });
    finish(8);
    expect(await pending.answer('a', 'k', start)).toEqual({ done: true, value: 8 });
    expect(start).toHaveBeenCalledTimes(1);
    expect(pending.size).toBe(0);
  });

  it('hands a failure on to who asks again, and starts anew after that', async () => {
    const pending = new PendingWork(5, 4);
    let fail: (error: Error) => void = () => undefined;
    expect(await pending.answer('a', 'k', () => new Promise((_resolve, reject) => { fail = reject; }))).toEqual({ done: false });
    fail(new Error('broken'));
    await expect(pending.answer('a', 'k', () => Promise.resolve(1))).rejects.toThrow('broken');
    expect(await pending.answer('a', 'k', () => Promise.resolve(1))).toEqual({ done: true, value: 1 });
  });

  it('is told apart by owner and key, and bounded for each owner', async () => {
    const pending = new PendingWork(1, 2);
    const never = (): Promise<number> => new Promise(() => undefined);
    await pending.answer('a', '1', never);
    await pending.answer('a', '2', never);
    await expect(pending.answer('a', '3', never)).rejects.toMatchObject({ code: 'BUSY' });
    expect(await pending.answer('a', '2', never)).toEqual({ done: false });
    expect(await pending.answer('b', '1', () => Promise.resolve('b'))).toEqual({ done: true, value: 'b' });
  });

  it('is forgotten when nobody asks for its outcome', async () => {
    vi.useFakeTimers();
    try {
      const pending = new PendingWork(10, 1);
      const asked = pending.answer('a', 'k', () => new Promise((resolve) => setTimeout(resolve, 50)));
      await vi.advanceTimersByTimeAsync(20);
      expect(await asked).toEqual({ done: false });
      await vi.advanceTimersByTimeAsync(100_000);
      expect(pending.size).toBe(1);
      await vi.advanceTimersByTimeAsync(30_000);
      expect(pending.size).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
