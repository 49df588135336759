import { describe, expect, it } from 'vitest';
import { History } from '../testing/history.ts';
import { aligned, bestLoss, checkpoints, extent, roundTimes, smoothed, stillOut, timeLeft, timeline, waitedFor } from './derive.ts';
import { reduceRunProgress } from './reduce-run.ts';

describe('a round’s timeline', () => {
  const history = new History().created().started().configured(1).accepted(1, 'a', 1, 7000).accepted(1, 'b', 1, 5000).closed(1).aggregated(1).evaluated(1, 1).checkpointed(1);
  const [, round] = history.view.rounds;

  it('has the server’s work, then clients in the order in which they were heard', () => {
    const rows = timeline(round!, 0);
    expect(rows.map(({ who }) => who)).toEqual(['server', 'a', 'b']);
    const at = (ms: number): number => round!.startedAt + ms;
    expect(rows[0]!.spans).toEqual([
      { kind: 'wait', from: at(0), to: at(13_000) }, { kind: 'aggregate', from: at(13_000), to: at(14_000) },
      { kind: 'evaluate', from: at(14_000), to: at(15_000) }, { kind: 'checkpoint', from: at(15_000), to: at(16_000) },
    ]);
    expect(rows[1]!.spans).toEqual([
      { kind: 'wait', from: at(0), to: at(1500) }, { kind: 'download', from: at(1500), to: at(2500) },
      { kind: 'train', from: at(2500), to: at(6500) }, { kind: 'upload', from: at(6500), to: at(7000) },
    ]);
    expect(extent(round!, 0)).toEqual([at(0), at(16_000)]);
  });

  it('says who was waited for, and how long', () => {
    expect(waitedFor(round!)).toEqual({ clientId: 'b', ms: 5000 });
    expect(waitedFor({ ...round!, closedBecause: 'deadline' })).toBeNull();
  });

  it('shows what is known of clients that have not answered', () => {
    const open = new History().created().started().configured(1);
    const report = { type: 'progress', runId: 'run-1', clientId: 'a', round: 1, step: 0, totalSteps: 1 } as const;
    const run = [['downloading', 2000], ['training', 3000]].reduce((before, [phase, ms]) => reduceRunProgress(before, { ...report, phase: String(phase), at: open.at + Number(ms) }), open.view);
    const now = open.at + 8000;
    const [server, a, b] = timeline(run.rounds[1]!, now);
    expect(server!.spans).toEqual([{ kind: 'wait', from: open.at, to: now }]);
    expect(a!.spans).toEqual([{ kind: 'wait', from: open.at, to: open.at + 2000 }, { kind: 'download', from: open.at + 2000, to: open.at + 3000 }, { kind: 'train', from: open.at + 3000, to: now }]);
    expect(b!.spans).toEqual([{ kind: 'wait', from: open.at, to: now }]);
    expect(stillOut(run.rounds[1]!)).toEqual(['a', 'b']);
    expect(stillOut(round!)).toEqual([]);
  });
});

describe('a run', () => {
  it('has as much time left as its last rounds suggest', () => {
    const history = new History().created({ rounds: 4 }).started();
    expect(timeLeft(history.view, history.at)).toBeNull();
    history.round(1).round(2);
    const mean = 6000;
    expect(timeLeft(history.view, history.at)).toBe(2 * mean);
    history.configured(3);
    expect(timeLeft(history.view, history.at + 1000)).toBe(mean + mean - 1000);
    expect(timeLeft(history.view, history.at + 60_000)).toBe(mean);
    expect(timeLeft({ ...history.view, paused: 'paused by an operator' }, history.at)).toBeNull();
    expect(timeLeft(history.add({ type: 'run-failed', code: 'X', message: 'x' }).view, history.at)).toBeNull();
  });

  it('marks the checkpoint with the lowest held-out loss, newest first', () => {
    const history = new History().created({ rounds: 9 }).started().round(1, ['a'], 'out/1').round(2, ['a'], 'out/2').round(3);
    history.configured(4, ['a']).accepted(4, 'a', 1).closed(4).aggregated(4).evaluated(4, 5).checkpointed(4, 'out/4');
    expect(checkpoints(history.view).map(({ round, isBest }) => [round.checkpoint, isBest])).toEqual([['out/4', false], ['out/2', true], ['out/1', false]]);
    expect(bestLoss(history.view)).toEqual({ round: 3, loss: 0.25, initial: 1 });
    expect(bestLoss(new History().created().view)).toBeNull();
  });

  it('has a time for each round, from its start', () => {
    const { view } = new History().created().started().round(1);
    expect([...roundTimes(view)]).toEqual([[0, 1], [1, 7]]);
  });
});

describe('curves', () => {
  it('are smoothed without being shifted at their start', () => {
    expect(smoothed([4, null, 4, 4], 0.9)).toEqual([4, null, 4, 4]);
    expect(smoothed([0, 1], 0.5)).toEqual([0, 2 / 3]);
    expect(smoothed([3, 1], 0)).toEqual([3, 1]);
  });

  it('share their points', () => {
    expect(aligned([[[0, 5], [2, 6]], [[1, 7]]])).toEqual({ xs: [0, 1, 2], ys: [[5, null, 6], [null, 7, null]] });
  });
});
