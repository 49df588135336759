import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { RgbImage } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { validateDataset } from '../src/index.ts';
import { ImageSequence } from '../src/validate/image-sequence.ts';
import { editInfo, root, rows, useDamagedSets } from './damaged-set.ts';
import { column, frameParquet, put, writeFixture } from './fixtures.ts';

useDamagedSets();

/** Codes found, with how often, of those named. */
async function counted(...codes: string[]): Promise<Record<string, number>> {
  const { findings } = await validateDataset(root, { motion: true, samples: 0 });
  return Object.fromEntries(codes.map((code) => [code, findings.filter((finding) => finding.code === code).length]));
}

/** A set of v2.1 without cameras, whose rows are what `value` makes of episode, frame and joint. */
async function recorded(episodes: number, frames: number, value: (episode: number, frame: number, joint: number) => number, task: (episode: number) => number = () => 0): Promise<void> {
  await writeFixture(root, { version: 'v2.1', lengths: new Array<number>(episodes).fill(frames), cameras: [] });
  for (let episode = 0; episode < episodes; episode++) {
    const state = (position: number): number[] => [0, 1].map((joint) => value(episode, position, joint));
    const table = rows(frames, ({ position }) => ({ episode, index: episode * frames + position, task: task(episode), state: state(position), action: state(position) }));
    await put(root, `data/chunk-000/episode_${String(episode).padStart(6, '0')}.parquet`, frameParquet(table));
  }
}

const varied = (episode: number, frame: number, joint: number): number => (joint + 1) * 40 * Math.sin(frame / 9 + 2.4 * episode) + 20 * Math.cos(5 * episode + joint);
const TOGETHER = ['FEW_EPISODES', 'TASK_IMBALANCE', 'SHORT_FOR_CHUNK', 'LOW_DIVERSITY', 'SHIFT', 'STATIC_VALUE'];

describe('what episodes are together', () => {
  it('is nothing to tell of in a set of many that differ', async () => {
    await recorded(31, 101, varied);
    expect(await counted(...TOGETHER)).toEqual({ FEW_EPISODES: 0, TASK_IMBALANCE: 0, SHORT_FOR_CHUNK: 0, LOW_DIVERSITY: 0, SHIFT: 0, STATIC_VALUE: 0 });
  });

  it('is told: few, short, of one task hardly any', async () => {
    await recorded(24, 40, varied, (episode) => (episode === 7 ? 1 : 0));
    expect(await counted(...TOGETHER)).toMatchObject({ FEW_EPISODES: 2, TASK_IMBALANCE: 1, SHORT_FOR_CHUNK: 1, LOW_DIVERSITY: 0, SHIFT: 0 });
  });

  it('is told: all alike, moved half-way, a joint that is not used', async () => {
    await recorded(12, 40, (episode, frame, joint) => 40 * Math.sin(frame / 9 + joint) + Math.sin(episode));
    expect(await counted('LOW_DIVERSITY', 'SHIFT')).toEqual({ LOW_DIVERSITY: 1, SHIFT: 0 });
    await recorded(12, 40, (episode, frame, joint) => varied(episode, frame, joint) + (joint === 0 && episode >= 6 ? 300 : 0));
    expect(await counted('SHIFT')).toEqual({ SHIFT: 2 });
    await recorded(12, 40, (episode, frame, joint) => (joint === 1 ? Math.floor(frame / 20) : varied(episode, frame, joint)));
    expect(await counted('STATIC_VALUE')).toEqual({ STATIC_VALUE: 2 });
  });
});

describe('what metadata and files say of each other', () => {
  const found = async (): Promise<string[]> => (await validateDataset(root, { samples: 0 })).findings.map(({ code, severity }) => `${severity} ${code}`);

  it('columns that are declared and not stored, of other types, with names missing', async () => {
    await writeFixture(root, { version: 'v2.1', lengths: [3, 4], cameras: [] });
    await editInfo((info) => {
      info.features['next.done'] = { dtype: 'bool', shape: [1], names: null };
      info.features['action'] = { dtype: 'float64', shape: [2], names: ['a', 'b', 'c'] };
    });
    const { findings } = await validateDataset(root, { samples: 0 });
    expect(findings.filter(({ code }) => code === 'SCHEMA').map(({ message }) => message.replaceAll(root, ''))).toEqual([
      'meta/info.json gives "action" 3 names and 2 values.',
      'meta/info.json declares "action" as float64; /data/chunk-000/episode_000000.parquet stores FLOAT.',
      'meta/info.json declares "next.done", of which /data/chunk-000/episode_000000.parquet has no column.',
    ]);
  });

  it('a file with other columns than the first', async () => {
    await writeFixture(root, { version: 'v2.1', lengths: [3, 4], cameras: [] });
    await put(root, 'data/chunk-000/episode_000001.parquet', frameParquet(rows(4), [column('next.reward', 'FLOAT', [0, 0, 0, 1])]));
    expect(await found()).toContain('warning SCHEMA');
  });

  it('tasks that are counted wrong or say nothing, rows that are not numbered through', async () => {
    await writeFixture(root, { version: 'v2.1', lengths: [3, 4], cameras: [] });
    expect(await found()).not.toContain('warning TASK');
    const tasks = path.join(root, 'meta/tasks.jsonl');
    await writeFile(tasks, (await readFile(tasks, 'utf8')).replace(/"task":"[^"]*"/, '"task":"test"'));
    await editInfo((info) => (info['total_tasks'] = 5));
    await put(root, 'data/chunk-000/episode_000001.parquet', frameParquet(rows(4, ({ position }) => ({ index: position + 40 }))));
    expect(await found()).toEqual(expect.arrayContaining(['warning TASK', 'warning COUNTS', 'info INDEX']));
  });
});

describe('images one after the other', () => {
  const image = (value: (i: number) => number): RgbImage => ({ width: 8, height: 8, data: Uint8Array.from({ length: 192 }, (_, i) => value(i)) });
  const scene = (frame: number): RgbImage => image((i) => 100 + ((i * 7 + frame * 5) % 60));
  const seen = (images: readonly RgbImage[], isMoving = true): ImageSequence => {
    const sequence = new ImageSequence(() => isMoving);
    images.forEach((one, position) => {
      sequence.add(one, position);
    });
    return sequence;
  };

  it('show where a camera was black, or hung while the arm was told to move', () => {
    const scenes = Array.from({ length: 30 }, (_, frame) => scene(frame));
    expect([seen(scenes).blackRuns, seen(scenes).frozenRuns]).toEqual([[], []]);
    const black = scenes.map((one, frame) => (frame >= 10 && frame < 13 ? image(() => 1) : one));
    expect(seen(black).blackRuns).toEqual([{ from: 10, to: 12 }]);
    const hung = scenes.map((_, frame) => scene(frame >= 10 && frame < 20 ? 10 : frame));
    expect(seen(hung).frozenRuns).toEqual([{ from: 10, to: 19 }]);
    expect(seen(hung, false).frozenRuns).toEqual([]);
    expect(seen(hung).isFrozen).toBe(false);
  });

  it('that are left out end a run', () => {
    const sequence = new ImageSequence(() => true);
    for (const position of [0, 20, 40, 60, 80, 99]) sequence.add(scene(3), position);
    expect(sequence.frozenRuns).toEqual([]);
    expect(sequence.isFrozen).toBe(true);
  });

  it('show a camera that is white, or sends one colour', () => {
    expect(seen([image((i) => 250 + (i % 3))]).isWhite).toBe(true);
    expect(seen([image(() => 90)])).toMatchObject({ isFlat: true, isWhite: false, isBlack: false });
    expect(seen([scene(1)])).toMatchObject({ isFlat: false, isWhite: false });
  });
});
