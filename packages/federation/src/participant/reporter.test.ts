import { reportMessageSchema, Zk0Error, type ReportMessage } from '@zk0/core';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Reporter } from './reporter.ts';

/** A line to a server that takes reports, or fails as told. */
function connection(): { readonly got: ReportMessage[]; failure: Error | null; report: (message: ReportMessage) => Promise<void> } {
  const made = {
    got: [] as ReportMessage[],
    failure: null as Error | null,
    report: (message: ReportMessage): Promise<void> => {
      if (made.failure !== null) return Promise.reject(made.failure);
      made.got.push(reportMessageSchema.parse(message));
      return Promise.resolve();
    },
  };
  return made;
}
const line = (message: string, time = new Date()): { time: Date; level: 'info'; message: string } => ({ time, level: 'info', message });
const said = ({ got }: { readonly got: readonly ReportMessage[] }): string[] => got.flatMap(({ lines = [] }) => lines.map(({ message }) => message));

describe('a reporter', () => {
  beforeEach(() => { vi.useFakeTimers(); });
  afterEach(() => { vi.useRealTimers(); });

  it('sends nothing before the client has joined, then all lines in order, without folders, cut to a bound', async () => {
    const to = connection();
    const reporter = new Reporter({ connection: to });
    reporter.line(line('frame 3 of /home/anna/recordings/kitchen is skipped', new Date(Date.now() - 5000)));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(to.got).toEqual([]);
    reporter.start();
    for (let at = 0; at < 120; at++) reporter.line(line(`${at} ${'x'.repeat(2000)}`));
    await vi.advanceTimersByTimeAsync(2000);
    expect(to.got[0]!.lines).toHaveLength(50);
    expect(to.got[0]!.lines![0]).toEqual({ ageMs: 17_000, level: 'info', message: 'frame 3 of …/kitchen is skipped' });
    await vi.advanceTimersByTimeAsync(4000);
    expect(said(to).map((text) => text.split(' ')[0])).toEqual(['frame', ...Array.from({ length: 120 }, (_, at) => String(at))]);
    expect(Math.max(...said(to).map(({ length }) => length))).toBe(1000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(to.got).toHaveLength(3);
  });

  it('keeps the newest lines while the server is away, and says how many it left out', async () => {
    const to = connection();
    to.failure = new Error('no connection');
    const reporter = new Reporter({ connection: to });
    reporter.start();
    for (let at = 0; at < 500; at++) {
      reporter.line(line(String(at)));
      if (at % 100 === 0) await vi.advanceTimersByTimeAsync(2000);
    }
    to.failure = null;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(said(to)).toEqual(Array.from({ length: 200 }, (_, at) => String(300 + at)));
    expect(to.got.map(({ leftOut }) => leftOut)).toEqual([300, undefined, undefined, undefined]);
  });

  it('sends what waits before it ends, and does not wait for a server that is gone', async () => {
    const to = connection();
    const reporter = new Reporter({ connection: to });
    reporter.start();
    for (let at = 0; at < 70; at++) reporter.line(line(String(at)));
    await reporter.close();
    expect(said(to)).toHaveLength(70);
    const gone = connection();
    gone.failure = new Error('no connection');
    const other = new Reporter({ connection: gone });
    other.start();
    other.line(line('last words'));
    await other.close();
    expect(gone.got).toEqual([]);
  });

  it('says now and then what memory is used, again after a failure', async () => {
    const to = connection();
    const reporter = new Reporter({ connection: to, resources: () => ({ memoryBytes: 5, totalMemoryBytes: 10 }) });
    to.failure = new Error('no connection');
    reporter.start();
    await vi.advanceTimersByTimeAsync(2000);
    to.failure = null;
    await vi.advanceTimersByTimeAsync(31_000);
    expect(to.got).toEqual([{ resources: { memoryBytes: 5, totalMemoryBytes: 10 } }, { resources: { memoryBytes: 5, totalMemoryBytes: 10 } }]);
    await reporter.close();
  });

  it('asks a server that knows no reports once', async () => {
    const to = connection();
    to.failure = new Zk0Error('MESSAGE_INVALID', 'no message of type "report"');
    const reporter = new Reporter({ connection: to });
    reporter.start();
    reporter.line(line('one'));
    await vi.advanceTimersByTimeAsync(2000);
    to.failure = null;
    reporter.line(line('two'));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(to.got).toEqual([]);
  });
});
