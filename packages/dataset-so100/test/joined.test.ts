import { runConfigSchema, type RobotDataset } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { augmentedDataset, FrameOrder, joinDatasets, resampledDataset } from '../src/index.ts';
import { momentsOf } from '../src/stats/moments.ts';
import { NAMES, recordArm } from './recorded-arm.ts';

const withCameras = (dataset: RobotDataset, ...keys: string[]): RobotDataset => ({
  ...dataset,
  info: { ...dataset.info, cameras: keys.map((key) => ({ key, height: 8, width: 8 })) },
});

const a = recordArm({ units: 'degrees', seed: 1, frames: 900 });
const b = recordArm({ units: 'degrees-2024', seed: 2, frames: 300, names: NAMES.before2025, robotType: 'so100', order: [5, 4, 3, 2, 1, 0] });

describe('several datasets', () => {
  it('are read as one: joints in one order and unit, one index, episodes within their recordings', () => {
    const { dataset, notes } = joinDatasets([{ dataset: a.dataset }, { dataset: b.dataset }]);
    const { info } = dataset;
    expect(info).toMatchObject({ frameCount: 1200, stateNames: NAMES.since2025 });
    expect(info.episodes).toHaveLength(6);
    expect(info.episodes[3]).toEqual({ episodeIndex: 3, from: 900, to: 1000 });
    for (const frame of [0, 450, 899]) expect(dataset.state(frame)).toEqual(a.dataset.state(frame));
    for (const frame of [0, 150, 299]) {
      dataset.state(900 + frame).forEach((value, i) => {
        expect(Math.abs(value - b.truth[frame * 6 + i]!)).toBeLessThan(0.15);
      });
    }
    expect(notes.join()).toContain('reordered');
    expect(notes.join()).toContain('degrees-2024 to degrees');
    expect(() => dataset.state(1200)).toThrow(RangeError);
    expect(new Set(Array.from({ length: 1200 }, (_, step) => new FrameOrder(info.frameCount, 's').frameAt(step))).size).toBe(1200);
  });

  it('have the moments of all their values, whatever their weights', () => {
    const rows = joinDatasets([{ dataset: a.dataset }, { dataset: b.dataset }]).dataset;
    const all = momentsOf(Float32Array.from(Array.from({ length: 1200 }, (_, frame) => [...rows.state(frame)]).flat()), 6);
    const { dataset } = joinDatasets([{ dataset: a.dataset }, { dataset: b.dataset, weight: 3 }]);
    expect(dataset.info.frameCount).toBe(1800);
    expect(dataset.state(900 + 300 + 7)).toEqual(dataset.state(900 + 7));
    dataset.info.moments.state.mean.forEach((mean, i) => {
      expect(mean).toBeCloseTo(all.mean[i]!, 3);
      expect(dataset.info.moments.state.m2[i]! / all.m2[i]!).toBeCloseTo(1, 3);
    });
    expect(dataset.info.contentHash).not.toBe(rows.info.contentHash);
  });

  it('say where images and tasks come from, also where joints were brought into another order', () => {
    const { dataset } = joinDatasets([{ dataset: a.dataset }, { dataset: b.dataset, weight: 2 }]);
    const [first, second] = [a.dataset.info.contentHash, b.dataset.info.contentHash];
    const repeated = [900, 1200].map((from) => ({ from, contentHash: second, frameCount: 300 }));
    expect(dataset.info.origins).toEqual([{ from: 0, contentHash: first, frameCount: 900 }, ...repeated]);
    expect(joinDatasets([{ dataset }, { dataset: a.dataset }]).dataset.info.origins!.at(-1)).toEqual({ from: 1500, contentHash: first, frameCount: 900 });
  });

  it.each([
    ['another frame rate', (dataset: RobotDataset) => resampledDataset(dataset, 5)],
    ['variants', (dataset: RobotDataset) => augmentedDataset(dataset, runConfigSchema.parse({ augment: 2 }).augment!, 's')],
  ])('are no longer their parts where they are read with %s', (_, changed) => {
    const { info } = changed(joinDatasets([{ dataset: a.dataset }, { dataset: b.dataset }]).dataset);
    expect(info.origins).toEqual([{ from: 0, contentHash: info.contentHash, frameCount: info.frameCount }]);
  });

  it('have the cameras that all of them have', () => {
    const { dataset, notes } = joinDatasets([
      { dataset: withCameras(a.dataset, 'observation.images.top', 'observation.images.side') },
      { dataset: withCameras(b.dataset, 'observation.images.top') },
    ]);
    expect(dataset.info.cameras.map(({ key }) => key)).toEqual(['observation.images.top']);
    expect(notes.join()).toContain('observation.images.side left out');
    expect(() => joinDatasets([{ dataset: withCameras(a.dataset, 'x') }, { dataset: withCameras(b.dataset, 'y') }])).toThrow(
      expect.objectContaining({ code: 'DATASET_UNLIKE', hint: expect.stringContaining('--rename') as string }),
    );
  });

  it.each([
    ['another frame rate', recordArm({ units: 'degrees', seed: 3, fps: 10, frames: 300 }), '10 frames a second'],
    ['units that cannot be converted', recordArm({ units: 'ticks', seed: 4, frames: 300 }), 'encoder counts'],
    ['other joints', recordArm({ units: 'degrees', seed: 5, names: ['a', 'b', 'c', 'd', 'e', 'f'], frames: 300 }), 'has the joints a, b'],
  ])('are refused by name where they cannot be: %s', (_, other, words) => {
    expect(() => joinDatasets([{ dataset: a.dataset }, { dataset: other.dataset }])).toThrow(
      expect.objectContaining({ code: 'DATASET_UNLIKE', message: expect.stringContaining(words) as string }),
    );
  });

  it('that are one is that one, and weights are whole numbers', () => {
    expect(joinDatasets([{ dataset: a.dataset }]).dataset).toBe(a.dataset);
    expect(() => joinDatasets([{ dataset: a.dataset, weight: 0.5 }])).toThrow(expect.objectContaining({ code: 'DATASET_UNLIKE' }));
    expect(() => joinDatasets([])).toThrow(expect.objectContaining({ code: 'DATASET_UNLIKE' }));
  });
});

describe('datasets of other frame rates', () => {
  const fast = recordArm({ units: 'degrees', seed: 6, fps: 30, frames: 300 });
  const slow = recordArm({ units: 'degrees', seed: 7, fps: 10, frames: 300 });

  it('are taken down to one: the frames nearest to its grid, of every episode from its first', () => {
    const taken = resampledDataset(fast.dataset, 20);
    const { info } = taken;
    expect(info).toMatchObject({ fps: 20, frameCount: 201, episodes: fast.dataset.info.episodes.map(({ episodeIndex }, i) => ({ episodeIndex, from: 67 * i, to: 67 * (i + 1) })) });
    for (const [here, there] of [[0, 0], [1, 2], [2, 3], [66, 99], [67, 100], [68, 102]] as const) expect(taken.state(here)).toEqual(fast.dataset.state(there));
    const { actions, isPad } = taken.actionChunk(65, 4);
    const action = (frame: number): number[] => [...fast.dataset.actionChunk(frame, 1).actions];
    expect([...actions]).toEqual([action(98), action(99), action(99), action(99)].flat());
    expect([...isPad]).toEqual([0, 0, 1, 1]);
    const all = momentsOf(Float32Array.from(Array.from({ length: 201 }, (_, frame) => [...taken.state(frame)]).flat()), 6);
    info.moments.state.mean.forEach((mean, i) => {
      expect(mean).toBeCloseTo(all.mean[i]!, 9);
    });
    expect(info.contentHash).not.toBe(fast.dataset.info.contentHash);
    expect(() => taken.state(201)).toThrow(RangeError);
  });

  it('are read as one at the rate that is asked for, and the refusal without says so', () => {
    const parts = [{ dataset: slow.dataset }, { dataset: fast.dataset }];
    expect(() => joinDatasets(parts)).toThrow(expect.objectContaining({ code: 'DATASET_UNLIKE', hint: expect.stringContaining('--fps 10') as string }));
    const { dataset, notes } = joinDatasets(parts, { fps: 10 });
    expect(dataset.info).toMatchObject({ fps: 10, frameCount: 300 + 102 });
    expect(notes.join()).toContain('30 frames a second taken down to 10, 102 of its 300 frames');
    expect(() => joinDatasets(parts, { fps: 20 })).toThrow(expect.objectContaining({ code: 'DATASET_UNLIKE', message: expect.stringContaining('fewer than the 20') as string }));
  });

  it('count as often as their address says', () => {
    const weighted: RobotDataset = { ...slow.dataset, info: { ...slow.dataset.info, uri: '/sets/slow?weight=3' } };
    expect(joinDatasets([{ dataset: weighted }, { dataset: slow.dataset }]).dataset.info.frameCount).toBe(1200);
    expect(joinDatasets([{ dataset: weighted, weight: 1 }, { dataset: slow.dataset }]).dataset.info.frameCount).toBe(600);
  });
});
