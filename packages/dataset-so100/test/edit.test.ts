import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RobotDataset } from '@zk0/core';
import { dropEpisodes, mergeDatasets, openDataset, relabelDataset, splitDataset, validateDataset, type LeRobotDataset } from '../src/index.ts';
import { mergeStatistics, vectorStatistics } from '../src/write/episode-stats.ts';
import { CODINGS, encodeNumbered, NUMBERED, numberOf } from './encode-video.ts';
import { writeFixture, type FixtureOptions } from './fixtures.ts';

const FPS = 10;
const CAMERAS = ['observation.images.top', 'observation.images.wrist'];
const LENGTHS = [5, 7, 3, 6, 4];
const codings = Object.values(CODINGS);
const VIDEO = { threads: 1 };
let folder: string;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-edit-'));
  await recording('v3', { version: 'v3.0', lengths: LENGTHS, episodesPerFile: 3 });
  await recording('v2', { version: 'v2.1', lengths: LENGTHS });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const at = (name: string): string => path.join(folder, name);
const fresh = (): string => at(`copy-${count++}`);

/** A set whose pictures spell their numbers in their files. */
async function recording(name: string, options: FixtureOptions): Promise<void> {
  await writeFixture(at(name), { fps: FPS, cameras: CAMERAS, ...options });
  const files = (await readdir(at(name), { recursive: true })).filter((file) => file.endsWith('.mp4'));
  for (const [i, file] of files.sort().entries()) encodeNumbered(path.join(at(name), file), codings[i % codings.length]!, { frames: 18, fps: FPS });
}

interface Row {
  readonly state: readonly number[];
  readonly action: readonly number[];
  readonly timestamp: number;
  readonly task: string;
  readonly numbers: readonly number[];
}

/** Everything that the rows of a set hold, episode by episode. */
async function contents(uri: string): Promise<Row[][]> {
  const dataset = await openDataset(uri, { video: VIDEO });
  try {
    const episodes: Row[][] = [];
    for (const { from, to } of dataset.info.episodes) {
      const rows: Row[] = [];
      for (let frame = from; frame < to; frame++) rows.push(await rowAt(dataset, frame));
      episodes.push(rows);
    }
    return episodes;
  } finally {
    await dataset.close();
  }
}

async function rowAt(dataset: LeRobotDataset, frame: number): Promise<Row> {
  const images = await dataset.images(frame, CAMERAS);
  return {
    state: [...dataset.state(frame)],
    action: [...dataset.actionChunk(frame, 1).actions],
    timestamp: dataset.timestamp(frame),
    task: dataset.task(frame),
    numbers: images.map(numberOf),
  };
}

const pick = <T>(list: readonly T[], ...indices: readonly number[]): T[] => indices.map((index) => list[index]!);
const withCode = (code: string, ...words: readonly string[]): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(new RegExp(words.join('.*'), 's')) as string });

async function assertSound(uri: string): Promise<void> {
  const { findings } = await validateDataset(uri, { samples: 2, video: VIDEO });
  expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
}

describe.each(['v3', 'v2'])('editing a set of format %s', (name) => {
  it('drops episodes: the others keep their rows, tasks and pictures', async () => {
    const copy = fresh();
    const { dropped, episodes, frames } = await dropEpisodes(at(name), copy, { episodes: [1, 4] }, { video: VIDEO });
    expect(dropped).toEqual([{ episode: 1, score: null }, { episode: 4, score: null }]);
    expect([episodes, frames]).toEqual([3, 14]);
    expect(await contents(copy)).toEqual(pick(await contents(at(name)), 0, 2, 3));
    await assertSound(copy);
  });

  it('splits into parts that merge into the whole again', async () => {
    const parts = fresh();
    const { unused } = await splitDataset(at(name), parts, { kind: 'episodes', parts: { a: [3, 0], b: [1, 2, 4] } }, { video: VIDEO });
    expect(unused).toEqual([]);
    const all = await contents(at(name));
    expect(await contents(path.join(parts, 'a'))).toEqual(pick(all, 0, 3));
    const whole = fresh();
    const merged = await mergeDatasets([path.join(parts, 'a'), path.join(parts, 'b')], whole, { video: VIDEO });
    expect(merged).toMatchObject({ episodes: 5, frames: 25, tasks: ['push', 'pull'], warnings: [] });
    expect(await contents(whole)).toEqual(pick(all, 0, 3, 1, 2, 4));
    await assertSound(whole);
  });

  it('gives tasks other texts, by text and by episode', async () => {
    const copy = fresh();
    const { changed, tasks } = await relabelDataset(at(name), copy, [{ episodes: [2], to: 'lift' }, { task: 'push', to: 'shove' }], { video: VIDEO });
    expect(changed).toEqual([3, 9]);
    expect(tasks).toEqual(['shove', 'pull', 'lift']);
    const expected = (await contents(at(name))).map((rows, episode) => {
      const task = episode === 2 ? 'lift' : rows[0]!.task === 'push' ? 'shove' : rows[0]!.task;
      return rows.map((row) => ({ ...row, task }));
    });
    expect(await contents(copy)).toEqual(expected);
    await assertSound(copy);
  });
});

describe('splitting', () => {
  it('draws shares with a seed, no episode in two parts', async () => {
    const split = async (seed: string): Promise<number[][]> => {
      const { parts, unused } = await splitDataset(at('v3'), fresh(), { kind: 'fractions', parts: { train: 0.6, test: 0.4 }, seed }, { video: VIDEO });
      expect(unused).toEqual([]);
      expect([...parts['train']!.from, ...parts['test']!.from].sort()).toEqual([0, 1, 2, 3, 4]);
      return [[...parts['train']!.from], [...parts['test']!.from]];
    };
    const [one, again, other] = [await split('1'), await split('1'), await split('4')];
    expect(one.map(({ length }) => length)).toEqual([3, 2]);
    expect(again).toEqual(one);
    expect(other).not.toEqual(one);
  });

  it('makes a part of each task', async () => {
    const { parts } = await splitDataset(at('v3'), fresh(), { kind: 'task' }, { video: VIDEO });
    expect(Object.keys(parts)).toEqual([expect.stringMatching(/^push-/), expect.stringMatching(/^pull-/)]);
    expect(Object.values(parts).map(({ from, tasks }) => [from, tasks])).toEqual([[[0, 2, 4], ['push']], [[1, 3], ['pull']]]);
  });

  it('says which episodes are in no part', async () => {
    const { unused } = await splitDataset(at('v3'), fresh(), { kind: 'episodes', parts: { a: [1] } }, { video: VIDEO });
    expect(unused).toEqual([0, 2, 3, 4]);
  });

  it.each([
    ['an episode in two parts', { kind: 'episodes', parts: { a: [1], b: [1] } }, 'DATASET_OVERLAP', 'Episode 1'],
    ['an episode that is not there', { kind: 'episodes', parts: { a: [9] } }, 'DATASET_EPISODES', 'no episode 9'],
    ['a part of nothing', { kind: 'fractions', parts: { a: 0.9, b: 0.05 }, seed: '' }, 'DATASET_EPISODES', 'part b'],
    ['shares beyond 1', { kind: 'fractions', parts: { a: 0.9, b: 0.2 }, seed: '' }, 'INVALID_ARGUMENT', '1.1'],
    ['a part that leaves the folder', { kind: 'episodes', parts: { '../a': [1] } }, 'INVALID_ARGUMENT', 'cannot name'],
  ] as const)('refuses %s, and leaves nothing behind', async (_, rule, code, words) => {
    const to = fresh();
    await expect(splitDataset(at('v3'), to, rule, { video: VIDEO })).rejects.toEqual(withCode(code, words));
    expect((await readdir(folder)).filter((name) => name.includes(path.basename(to)))).toEqual([]);
  });
});

describe('merging', () => {
  it('merges the statistics of all episodes, and takes those of images over where they are', async () => {
    const [one, two, whole] = [fresh(), fresh(), fresh()];
    await dropEpisodes(at('v3'), one, { episodes: [0, 1] }, { video: VIDEO });
    await dropEpisodes(at('v2'), two, { episodes: [2, 3, 4] }, { video: VIDEO });
    // No decoder is needed where the sets have statistics of their images.
    await mergeDatasets([one, two], whole, { video: { backend: 'wasm' } });
    const stats = JSON.parse(await readFile(path.join(whole, 'meta/stats.json'), 'utf8')) as Record<string, Record<string, number[]>>;
    const dataset = (await openDataset(whole, { video: VIDEO })) as RobotDataset;
    const episodes = dataset.info.episodes.map(({ from, to }) => {
      return vectorStatistics(Float32Array.from(Array.from({ length: to - from }, (_, k) => [...dataset.state(from + k)]).flat()), 2);
    });
    await dataset.close();
    const { count: rows, ...expected } = mergeStatistics(episodes);
    expect(stats['observation.state']).toEqual({ ...expected, count: [rows] });
    expect(stats['observation.state']!['count']).toEqual([25]);
    expect(stats[CAMERAS[0]!]!['count']).toEqual([25]);
  });

  it('says where an episode is in both, and takes units that are stated where two are not sure', async () => {
    const to = fresh();
    // What is not said in the values is guessed from the format's version, and a guess is no ground for a merge.
    await expect(mergeDatasets([at('v3'), at('v2')], to, { video: VIDEO })).rejects.toEqual(
      withCode('DATASET_UNLIKE', 'units of state a: degrees \\(\\d+ % sure\\) and degrees-2024'),
    );
    const { warnings, episodes } = await mergeDatasets([at('v3'), at('v2')], to, { video: VIDEO, units: 'degrees' });
    expect(episodes).toBe(10);
    expect(warnings.filter((warning) => warning.includes('same states and actions'))).toHaveLength(5);
  });

  it.each<[string, Partial<FixtureOptions>, readonly string[]]>([
    ['frame rate', { fps: 30 }, ['frames a second: 10 and 30']],
    ['cameras', { cameras: [CAMERAS[0]!] }, ['cameras: ', 'top .*wrist .* and .*top']],
  ])('refuses sets that differ in %s, naming both and the difference', async (name, options, words) => {
    const other = `other-${name.replace(' ', '-')}`;
    await writeFixture(at(other), { version: 'v3.0', lengths: [4], fps: FPS, cameras: CAMERAS, ...options });
    for (const camera of options.cameras ?? CAMERAS) {
      encodeNumbered(at(`${other}/videos/${camera}/chunk-000/file-000.mp4`), codings[1]!, { frames: 4, fps: options.fps ?? FPS, ...NUMBERED });
    }
    const to = fresh();
    await expect(mergeDatasets([at('v3'), at(other)], to, { video: VIDEO })).rejects.toEqual(withCode('DATASET_UNLIKE', other, 'v3', ...words));
    expect(await readdir(folder)).not.toContain(path.basename(to));
  });

  it('needs two', async () => {
    await expect(mergeDatasets([at('v3')], fresh())).rejects.toEqual(withCode('DATASET_UNLIKE', '1 datasets'));
  });
});

describe('videos', () => {
  it('are copied byte for byte where all their episodes are, and cut where not; or whole on request', async () => {
    const [cut, whole] = [fresh(), fresh()];
    await dropEpisodes(at('v3'), cut, { episodes: [4] }, { video: VIDEO });
    await dropEpisodes(at('v3'), whole, { episodes: [4] }, { video: VIDEO, wholeVideos: true });
    const file = (root: string, number: number): Promise<Buffer> => readFile(path.join(root, `videos/${CAMERAS[0]!}/chunk-000/file-00${number}.mp4`));
    expect((await file(cut, 0)).equals(await file(at('v3'), 0))).toBe(true);
    expect((await file(cut, 1)).equals(await file(at('v3'), 1))).toBe(false);
    expect((await file(whole, 1)).equals(await file(at('v3'), 1))).toBe(true);
    expect(await contents(whole)).toEqual(await contents(cut));
  });
});

describe('edits that change nothing, or leave nothing', () => {
  it.each([
    ['dropping all', { episodes: [0, 1, 2, 3, 4] }, 'no episode would be left'],
    ['dropping an episode that is not there', { episodes: [5] }, 'no episode 5'],
    ['dropping none', { scoreBelow: 0.01 }, 'no episode is to be dropped; the scores are from'],
  ])('are refused: %s', async (_, rule, words) => {
    await expect(dropEpisodes(at('v3'), fresh(), rule)).rejects.toEqual(withCode('DATASET_EPISODES', words));
  });

  it.each([
    ['a task that no row has', [{ task: 'fly', to: 'walk' }], '"fly".*"push", "pull"'],
    ['an empty text', [{ task: 'push', to: ' ' }], 'blanks'],
    ['a rule behind one that fits the same rows', [{ task: 'push', to: 'a' }, { task: 'push', episodes: [0], to: 'b' }], 'another rule has not changed'],
  ])('are refused: relabelling %s', async (_, rules, words) => {
    await expect(relabelDataset(at('v3'), fresh(), rules, { video: VIDEO })).rejects.toEqual(withCode('DATASET_TASK', words));
  });
});
