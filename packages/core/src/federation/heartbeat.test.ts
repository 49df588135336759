import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Heartbeat } from './heartbeat.ts';
import type { HeartbeatMessage } from './messages.ts';

beforeEach(() => { vi.useFakeTimers(); });
afterEach(() => { vi.useRealTimers(); });

const progress = (taskId: string): HeartbeatMessage => ({ progress: { taskId, phase: 'training', step: 1, totalSteps: 2 } });

describe('a heartbeat', () => {
  it('beats at its interval, between four and six fifths of it, and stops', async () => {
    const times: number[] = [];
    const values = [0, 0.5, 0.9999];
    const heart = new Heartbeat(
      () => { times.push(Date.now()); return Promise.resolve({ continue: true }); },
      { intervalMs: 1000, random: () => values.shift() ?? 0.5 },
    );
    const begun = Date.now();
    await vi.advanceTimersByTimeAsync(3050);
    expect(times.map((time) => Math.round((time - begun) / 100))).toEqual([8, 18, 30]);
    heart.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(times).toHaveLength(3);
  });

  it('beats at another interval as soon as it is told so', async () => {
    let beats = 0;
    const mean: { ms?: number } = {};
    const heart = new Heartbeat(() => Promise.resolve({ continue: ++beats > 0 }), { intervalMs: () => mean.ms, random: () => 0.5 });
    await vi.advanceTimersByTimeAsync(9000);
    mean.ms = 100;
    await vi.advanceTimersByTimeAsync(900);
    expect(beats).toBe(0);
    heart.reschedule();
    await vi.advanceTimersByTimeAsync(950);
    expect(beats).toBe(9);
    heart.stop();
    heart.reschedule();
    await vi.advanceTimersByTimeAsync(1000);
    expect(beats).toBe(9);
  });

  it('never has two on their way, and goes on after a failure', async () => {
    let open = 0;
    let most = 0;
    let beats = 0;
    const failures: string[] = [];
    const heart = new Heartbeat(
      async () => {
        most = Math.max(most, ++open);
        await new Promise((resolve) => setTimeout(resolve, 3500));
        open--;
        if (++beats === 1) throw new Error('line cut');
        return { continue: true };
      },
      { intervalMs: 1000, random: () => 0.5, onFailure: (error) => failures.push((error as Error).message) },
    );
    await vi.advanceTimersByTimeAsync(10_000);
    expect([most, beats, failures]).toEqual([1, 2, ['line cut']]);
    heart.stop();
  });

  it('says once that a task is not wanted any more, and says so for the next task too', async () => {
    const unwanted: string[] = [];
    let taskId = 'a';
    const heart = new Heartbeat(() => Promise.resolve({ continue: false }), {
      intervalMs: 100,
      random: () => 0.5,
      message: () => progress(taskId),
      onUnwanted: (id) => unwanted.push(id),
    });
    await vi.advanceTimersByTimeAsync(350);
    taskId = 'b';
    await vi.advanceTimersByTimeAsync(200);
    expect(unwanted).toEqual(['a', 'b']);
    heart.stop();
  });

  it('sends nothing while its owner has nothing to say, and survives an owner that throws', async () => {
    const sent: HeartbeatMessage[] = [];
    const failures: unknown[] = [];
    const messages: (() => HeartbeatMessage | null)[] = [() => null, () => { throw new Error('no'); }, () => progress('a')];
    const heart = new Heartbeat((message) => { sent.push(message); return Promise.resolve({ continue: true }); }, {
      intervalMs: 100,
      random: () => 0.5,
      message: () => (messages.shift() ?? (() => null))(),
      onFailure: (error) => failures.push(error),
    });
    await vi.advanceTimersByTimeAsync(1000);
    expect(sent).toEqual([progress('a')]);
    expect(failures).toHaveLength(1);
    heart.stop();
  });

  it('stops with its signal', async () => {
    const abort = new AbortController();
    let beats = 0;
    const send = (): Promise<{ continue: boolean }> => { beats++; return Promise.resolve({ continue: true }); };
    new Heartbeat(send, { intervalMs: 100, random: () => 0.5, signal: abort.signal });
    await vi.advanceTimersByTimeAsync(250);
    abort.abort();
    new Heartbeat(send, { intervalMs: 100, signal: abort.signal });
    await vi.advanceTimersByTimeAsync(1000);
    expect(beats).toBe(2);
  });

  it('calls nobody once it is stopped, also when an answer was on its way', async () => {
    const called: string[] = [];
    const heart = new Heartbeat(() => new Promise((resolve) => setTimeout(() => { resolve({ continue: false }); }, 500)), {
      intervalMs: 100,
      message: () => progress('a'),
      onUnwanted: () => called.push('unwanted'),
      onFailure: () => called.push('failure'),
    });
    await vi.advanceTimersByTimeAsync(200);
    heart.stop();
    await vi.advanceTimersByTimeAsync(5000);
    expect(called).toEqual([]);
  });
});
