import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { RgbImage } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { listEpisodes, openDataset, readContents, repairDataset, validateDataset } from '../src/index.ts';
import type { EpisodeValues, MotionContext } from '../src/motion/episode-motion.ts';
import { scoreEpisodes } from '../src/motion/score-episodes.ts';
import { laplacianVariance, Sharpness } from '../src/motion/sharpness.ts';
import { WORTH, type MotionCode } from '../src/motion/thresholds.ts';
import { root, useDamagedSets } from './damaged-set.ts';
import { frameParquet, put, writeFixture } from './fixtures.ts';
import { hasRealData, realSet } from './real-data.ts';
import { recordArm, type ArmOptions } from './recorded-arm.ts';

useDamagedSets();

interface Episode extends EpisodeValues {
  readonly episodeIndex: number;
}

/** Three sound episodes of an arm, 300 frames each. */
function sound(options: Partial<ArmOptions> = {}): { episodes: Episode[]; context: MotionContext } {
  const { dataset, offsets } = recordArm({ units: 'degrees', seed: 3, ...options });
  const { info } = dataset;
  const episodes = offsets.slice(1).map((end, episodeIndex): Episode => {
    const frames = Array.from({ length: end - offsets[episodeIndex]! }, (_, k) => offsets[episodeIndex]! + k);
    return {
      episodeIndex,
      state: Float32Array.from(frames.flatMap((frame) => [...dataset.state(frame)])),
      action: Float32Array.from(frames.flatMap((frame) => [...dataset.actionChunk(frame, 1).actions])),
      timestamps: Float64Array.from(frames, (_, k) => Math.fround(k / info.fps)),
    };
  });
  return { episodes, context: { ...info, joints: info.joints! } };
}

const codesOf = (episodes: readonly Episode[], context: MotionContext): string[][] =>
  scoreEpisodes(episodes, context).map(({ findings }) => findings.map(({ code }) => code));

/** Sets values of one joint from a frame on. */
function edit(values: Float32Array, joint: number, change: (value: number, frame: number) => number): void {
  for (let i = joint, frame = 0; i < values.length; i += 6, frame++) values[i] = change(values[i]!, frame);
}

function copyRow(values: Float32Array, from: number, to: number): void {
  values.copyWithin(to * 6, from * 6, from * 6 + 6);
}

const DAMAGES: readonly (readonly [MotionCode, Partial<ArmOptions>, (episode: Episode) => void])[] = [
  ['IDLE', {}, ({ state, action }) => {
    for (let frame = 80; frame < 300; frame++) for (const values of [state, action]) copyRow(values, 79, frame);
  }],
  ['FROZEN_ARM', {}, ({ state }) => {
    for (let frame = 30; frame < 300; frame++) copyRow(state, 29, frame);
  }],
  ['DEAD_JOINT', {}, ({ state }) => {
    edit(state, 2, () => 42);
  }],
  ['JUMP', {}, ({ state }) => {
    edit(state, 2, (value, frame) => (frame === 150 ? value + 40 : value));
  }],
  ['ENCODER_WRAP', {}, ({ state }) => {
    edit(state, 4, (value, frame) => (frame >= 150 ? value - 360 : value));
  }],
  ['SATURATED', { units: 'normalized' }, ({ state }) => {
    edit(state, 1, (value, frame) => (frame < 250 ? -100 : value));
  }],
  ['STUCK_GRIPPER', {}, ({ state }) => {
    edit(state, 5, () => 12);
  }],
  ['DOUBLED_ROWS', {}, ({ state, action }) => {
    for (let frame = 3; frame < 300; frame += 4) for (const values of [state, action]) copyRow(values, frame - 1, frame);
  }],
  ['DROPPED_FRAMES', {}, ({ timestamps }) => {
    for (let frame = 1, late = 0; frame < 300; frame++) timestamps[frame] = timestamps[frame]! + (late += frame % 20 === 0 ? 1 / 30 : 0);
  }],
];

/** What is worth a look whatever the units are: found in what `damage` did, and not before. */
const WORTH_A_LOOK: readonly (readonly [MotionCode, (episode: Episode) => void])[] = [
  ['SHORT_EPISODE', (episode) => { Object.assign(episode, { state: episode.state.slice(0, 48), action: episode.action.slice(0, 48), timestamps: episode.timestamps.slice(0, 8) }); }],
  ['STILL_JOINT', ({ state, action }) => { for (const values of [state, action]) edit(values, 2, () => 42); }],
  ['FROZEN_STATE', ({ state }) => { for (let frame = 30; frame < 50; frame++) copyRow(state, 29, frame); }],
  ['REPEATED_ACTION', ({ action }) => { for (let frame = 30; frame < 50; frame++) copyRow(action, 29, frame); }],
  ['PINNED', ({ state }) => { edit(state, 1, (value) => Math.max(value, 10)); }],
  ['ACTION_JUMP', ({ action }) => { for (const joint of [0, 1, 2, 3, 4, 5]) edit(action, joint, (value, frame) => (frame === 150 ? value + 150 : value)); }],
  ['UNFOLLOWED', ({ state }) => { edit(state, 2, (value, frame) => (frame < 30 ? value : 60 + (frame % 40))); }],
  ['ACTION_RANGE', ({ action }) => { edit(action, 1, (value) => value + 200); }],
  ['OUTLIER', ({ action }) => { edit(action, 3, (value, frame) => (frame === 99 ? 4000 : value)); }],
];

describe('what is worth a look', () => {
  /** Without the rests at both ends that every sound episode has. */
  const moving = (): { episodes: Episode[]; context: MotionContext } => {
    const { episodes, context } = sound();
    for (const { state, action } of episodes) {
      for (let joint = 0; joint < 6; joint++) {
        const wave = (frame: number): number => 20 * (joint + 1) * Math.sin(frame / 40 + joint) + frame / 100;
        edit(action, joint, (_, frame) => wave(frame + 2));
        edit(state, joint, (_, frame) => wave(frame));
      }
    }
    return { episodes, context };
  };
  const codes = ({ episodes, context }: ReturnType<typeof moving>): string[][] =>
    scoreEpisodes(episodes, context).map(({ findings, notes }) => [...findings, ...notes].map(({ code }) => code).filter((code) => code !== 'NEAR_DUPLICATE'));

  it.each([true, false])('is nothing in sound episodes, units known: %s', (isKnown) => {
    const { episodes, context } = moving();
    const joints = context.joints.state.map(() => ({ unit: 'unknown' as const, confidence: 0 }));
    expect(codes({ episodes, context: isKnown ? context : { ...context, joints: { state: joints, action: joints } } })).toEqual([[], [], []]);
  });

  it.each(WORTH_A_LOOK)('%s is found in the episode that has it, and in no other', (code, damage) => {
    const { episodes, context } = moving();
    damage(episodes[1]!);
    expect(codes({ episodes, context }).map((found) => found.includes(code))).toEqual([false, true, false]);
    expect(scoreEpisodes(episodes, context)[1]!.score).toBeLessThanOrEqual(WORTH[code]);
  });

  it('tells a jump of half of a gripper’s range', () => {
    const { episodes, context } = moving();
    edit(episodes[1]!.state, 5, (value, frame) => (frame === 150 ? value + 400 : value));
    expect(codes({ episodes, context })[1]).toContain('JUMP');
  });
});

describe('how an episode moves', () => {
  it.each(['degrees', 'degrees-2024', 'normalized', 'radians', 'ticks'] as const)('is sound where it is: %s', (units) => {
    const { episodes, context } = sound({ units });
    expect(scoreEpisodes(episodes, context)).toMatchObject([0, 1, 2].map((episode) => ({ episode, score: 1, findings: [] })));
  });

  it.each(DAMAGES)('%s is found in the episode that has it, and in no other', (code, options, damage) => {
    const { episodes, context } = sound(options);
    damage(episodes[1]!);
    expect(codesOf(episodes, context).map((codes) => codes.includes(code))).toEqual([false, true, false]);
    const [first, second, third] = scoreEpisodes(episodes, context);
    expect([first!.score, third!.score]).toEqual([1, 1]);
    expect(second!.score).toBeLessThanOrEqual(WORTH[code]);
  });

  it('is compared with the others: lengths and near-duplicates', () => {
    const { episodes, context } = sound();
    const more = [...episodes, ...sound({ seed: 8 }).episodes].map((episode, episodeIndex) => ({ ...episode, episodeIndex }));
    const cut = { ...more[0]!, episodeIndex: 6, state: more[0]!.state.slice(0, 60 * 6), action: more[0]!.action.slice(0, 60 * 6), timestamps: more[0]!.timestamps.slice(0, 60) };
    const again = { ...more[1]!, episodeIndex: 7, state: more[1]!.state.map((value, i) => value + 0.2 * Math.sin(i)) };
    const codes = codesOf([...more, cut, again], context);
    expect(codes.slice(0, 6)).toEqual([[], [], [], [], [], []]);
    expect(codes[6]).toContain('LENGTH_OUTLIER');
    expect(codes[7]).toEqual(['NEAR_DUPLICATE']);
  });

  it('is not judged by degrees where units are not known', () => {
    const { episodes, context } = sound();
    const unknown = context.joints.state.map(() => ({ unit: 'unknown' as const, confidence: 0 }));
    for (const [, , damage] of DAMAGES.slice(0, 5)) damage(episodes[1]!);
    expect(codesOf(episodes, { ...context, joints: { state: unknown, action: unknown } }).flat()).toEqual([]);
  });
});

describe('blur', () => {
  const image = (sharp: boolean): RgbImage => {
    const [width, height] = [64, 48];
    const value = (x: number, y: number): number => (sharp ? ((x >> 2) + (y >> 2)) % 2 * 200 : 100 + 60 * Math.sin(x / 5));
    return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => value(Math.floor(i / 3) % width, Math.floor(i / 3 / width))) };
  };

  it('is found beside what the camera usually sees, and not in a camera that is always so', () => {
    expect(laplacianVariance(image(true))).toBeGreaterThan(100 * laplacianVariance(image(false)));
    const seen = new Sharpness();
    for (const episode of [0, 1, 2, 3]) {
      seen.add({ episode, camera: 'top', file: '' }, image(episode !== 2));
      seen.add({ episode, camera: 'wrist', file: '' }, image(false));
    }
    expect(seen.blurred()).toEqual([expect.objectContaining({ episode: 2, camera: 'top' })]);
  });
});

/** A set of v2.1 of the episodes given, without cameras. */
async function written(episodes: readonly Episode[], names: readonly string[]): Promise<void> {
  await writeFixture(root, { version: 'v2.1', lengths: episodes.map(({ timestamps }) => timestamps.length), cameras: [], fps: 30 });
  const file = path.join(root, 'meta/info.json');
  const info = JSON.parse(await readFile(file, 'utf8')) as { features: Record<string, object> };
  for (const key of ['observation.state', 'action']) info.features[key] = { dtype: 'float32', shape: [6], names };
  await writeFile(file, JSON.stringify({ ...info, robot_type: 'so101_follower' }));
  for (const { episodeIndex, state, action, timestamps } of episodes) {
    const rows = Array.from(timestamps, (timestamp, position) => ({
      episode: episodeIndex,
      position,
      index: position,
      timestamp,
      task: episodeIndex % 2,
      state: [...state.subarray(position * 6, position * 6 + 6)],
      action: [...action.subarray(position * 6, position * 6 + 6)],
    }));
    await put(root, `data/chunk-000/episode_00000${episodeIndex}.parquet`, frameParquet(rows));
  }
}

describe('a dataset with an episode that is not sound', () => {
  it('is reported with a score for each, and trained on without it: ?score>=0.6', async () => {
    const { episodes, context } = sound();
    DAMAGES[1]![2](episodes[1]!);
    await written(episodes, context.stateNames);
    const report = await validateDataset(root, { motion: true });
    expect(report.ok).toBe(true);
    expect(report.scores.map(({ episode, score }) => [episode, score < 0.6])).toEqual([[0, false], [1, true], [2, false]]);
    expect(report.findings).toContainEqual(expect.objectContaining({ severity: 'warning', code: 'FROZEN_ARM', episode: 1, frame: expect.any(Number) as number }));
    expect((await validateDataset(root)).scores).toEqual([]);
    const uri = `${root}?score>=0.6`;
    const dataset = await openDataset(uri);
    expect(dataset.info.episodes.map(({ episodeIndex }) => episodeIndex)).toEqual([0, 2]);
    await dataset.close();
    expect((await listEpisodes(`${root}?episodes=1-2&score>=0.6`)).map(({ episodeIndex }) => episodeIndex)).toEqual([2]);
    expect(Object.keys(await readContents(uri))).toEqual(['0', '2']);
    expect((await repairDataset(uri, `${root}-copy`)).episodes).toBe(2);
    await expect(openDataset(`${root}?episodes=1&score>=0.6`)).rejects.toMatchObject({ code: 'DATASET_EPISODES', message: expect.stringContaining('the best has') as string });
    await expect(openDataset(`${root}?score>=2`)).rejects.toMatchObject({ code: 'DATASET_URI' });
  });

  it('says units that are not sure, and a leader calibrated apart', async () => {
    const smooth = sound({ isSmooth: true, leaderOffset: 5 });
    await written(smooth.episodes, smooth.context.stateNames);
    const { findings } = await validateDataset(root, { motion: true });
    expect(findings).toContainEqual(expect.objectContaining({ code: 'UNITS', severity: 'warning' }));
    expect(findings.filter(({ code }) => code === 'LEADER_OFFSET')).toHaveLength(5);
    expect((await validateDataset(root, { motion: true, units: 'degrees' })).counts.warning.UNITS).toBeUndefined();
  });
});

describe.skipIf(!hasRealData)('how real recordings move (skipped without ../shared/data or ZK0_TEST_DATA)', () => {
  it.each(['so101_no_camera', 'so101_bimanual_cloth', 'cr5_banana_plate'] as const)('%s: most of it is sound', async (name) => {
    const { scores } = await validateDataset(realSet(name), { motion: true, samples: 0 });
    expect(scores.filter(({ score }) => score >= 0.6).length / scores.length).toBeGreaterThan(0.6);
  });
});
