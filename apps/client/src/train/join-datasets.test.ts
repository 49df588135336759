import type { RobotDataset } from '@zk0/core';
import { momentsOf } from '@zk0/dataset-so100';
import { describe, expect, it } from 'vitest';
import { joinDatasets } from './join-datasets.ts';

/** Episodes of these lengths; the state of a frame is `from` and up. */
function numbered(name: string, lengths: readonly number[], from: number, fps = 10): RobotDataset {
  const frameCount = lengths.reduce((sum, length) => sum + length);
  const ends = lengths.map((_, index) => lengths.slice(0, index + 1).reduce((sum, length) => sum + length));
  const row = (frame: number): Float32Array => Float32Array.of(from + frame);
  const moments = momentsOf(Array.from({ length: frameCount }, (_, frame) => from + frame), 1);
  return {
    info: {
      name,
      uri: name,
      contentHash: name,
      robotType: 'joint',
      fps,
      frameCount,
      stateNames: ['x'],
      actionNames: ['x'],
      cameras: [{ key: 'top', width: 2, height: 2 }],
      episodes: ends.map((to, episodeIndex) => ({ episodeIndex, from: to - lengths[episodeIndex]!, to })),
      tasks: [name],
      moments: { state: moments, action: moments },
    },
    state: row,
    actionChunk: (frame, length) => {
      const end = ends.find((to) => frame < to)!;
      const steps = Array.from({ length }, (_, step) => frame + step);
      return {
        actions: Float32Array.from(steps.map((step) => from + Math.min(step, end - 1))),
        isPad: Uint8Array.from(steps, (step) => (step < end ? 0 : 1)),
      };
    },
    task: () => name,
    images: (frame) => Promise.resolve([{ width: 2, height: 2, data: new Uint8Array(12).fill(from + frame) }]),
    close: () => Promise.resolve(),
  };
}

describe('joinDatasets', () => {
  const joined = joinDatasets([numbered('a', [2, 3], 0), numbered('b', [4], 100)]);

  it('is one after the other, each frame with what belongs to it', async () => {
    expect(joined.info).toMatchObject({ frameCount: 9, tasks: ['a', 'b'] });
    expect(joined.info.episodes).toEqual([
      { episodeIndex: 0, from: 0, to: 2 },
      { episodeIndex: 1, from: 2, to: 5 },
      { episodeIndex: 2, from: 5, to: 9 },
    ]);
    expect([4, 5, 8].map((frame) => [joined.state(frame)[0], joined.task(frame)])).toEqual([[4, 'a'], [100, 'b'], [103, 'b']]);
    expect((await joined.images(6, ['top']))[0]!.data[0]).toBe(101);
    const { actions, isPad } = joined.actionChunk(3, 4);
    expect([[...actions], [...isPad]]).toEqual([[3, 4, 4, 4], [0, 0, 1, 1]]);
  });

  it('has the moments of all frames', () => {
    const all = momentsOf([0, 1, 2, 3, 4, 100, 101, 102, 103], 1);
    expect(joined.info.moments.state.mean[0]).toBeCloseTo(all.mean[0]!, 10);
    expect(joined.info.moments.state.m2[0]).toBeCloseTo(all.m2[0]!, 6);
  });

  it('is another dataset in another order, and itself alone', () => {
    const [a, b] = [numbered('a', [2], 0), numbered('b', [2], 9)];
    expect(joinDatasets([b, a]).info.contentHash).not.toBe(joinDatasets([a, b]).info.contentHash);
    expect(joinDatasets([a])).toBe(a);
  });

  it('refuses what differs, and nothing', () => {
    expect(() => joinDatasets([numbered('a', [2], 0), numbered('b', [2], 0, 30)])).toThrow('10 frames a second');
    expect(() => joinDatasets([])).toThrow('no datasets');
  });
});
