import { mkdir, mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openDataset, repairDataset, validateDataset, type RepairOptions, type RepairResult } from '../src/index.ts';
import { CODINGS, encodeNumbered, numberOf } from './encode-video.ts';
import { frameParquet, put, stateAt, writeFixture, type FixtureRow } from './fixtures.ts';

let folder: string;
let root: string;
let copy: string;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-repair-'));
});
beforeEach(() => {
  root = path.join(folder, `set-${count}`);
  copy = path.join(folder, `copy-${count++}`);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const TOP = 'observation.images.top';
const file = (episode: number): string => `data/chunk-000/episode_00000${episode}.parquet`;

const rowsOf = (episode: number, length: number, change: (row: FixtureRow) => Partial<FixtureRow> = () => ({})): FixtureRow[] =>
  Array.from({ length }, (_, position) => {
    const row = { episode, position, index: position, timestamp: position / 10, task: episode % 2 };
    return { ...row, ...change(row) };
  });

const v2 = (lengths = [3, 4], cameras: string[] = []): Promise<void> => writeFixture(root, { version: 'v2.1', lengths, cameras });

/** Repairs, and proves that nothing is wrong with the copy and nothing happened to the original. */
async function repaired(options: RepairOptions = {}): Promise<RepairResult> {
  const before = await fingerprint(root);
  const result = await repairDataset(root, copy, options);
  expect(await fingerprint(root)).toEqual(before);
  const report = await validateDataset(copy);
  expect(report.findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
  expect(report.checked).toMatchObject({ episodes: result.episodes, frames: result.frames });
  return result;
}

async function fingerprint(directory: string): Promise<Record<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  return Object.fromEntries(await Promise.all(files.map(async (one) => [one, (await readFile(one)).toString('base64')] as const)));
}

const messages = ({ changes }: RepairResult): string[] => changes.map(({ message }) => message);

async function statesOf(uri: string): Promise<number[][]> {
  const dataset = await openDataset(uri);
  const states = Array.from({ length: dataset.info.frameCount }, (_, frame) => Array.from(dataset.state(frame)));
  await dataset.close();
  return states;
}

async function editInfo(change: Record<string, unknown>): Promise<void> {
  const target = path.join(root, 'meta/info.json');
  await writeFile(target, JSON.stringify({ ...(JSON.parse(await readFile(target, 'utf8')) as object), ...change }));
}

describe('repairDataset: rows', () => {
  it('writes doubled frames once (lerobot #1875)', async () => {
    await v2();
    await put(root, file(1), frameParquet([...rowsOf(1, 4), ...rowsOf(1, 4)]));
    const result = await repaired();
    expect(result).toMatchObject({ episodes: 2, frames: 7, dropped: [], leftOut: [] });
    expect(result.changes).toContainEqual({ message: '4 doubled rows left out', episode: 1 });
    expect((await statesOf(copy)).slice(3)).toEqual([0, 1, 2, 3].map((k) => stateAt(1, k)));
  });

  it('writes doubled frames once where the metadata counts them twice', async () => {
    await v2([3, 8]);
    await put(root, file(1), frameParquet(rowsOf(1, 4).flatMap((row) => [row, row])));
    expect(messages(await repaired())).toEqual(expect.arrayContaining(['4 doubled rows left out', 'length corrected from 8 to 4 frames']));
  });

  it('corrects lengths, and puts rows in the order of their frames', async () => {
    await v2([3, 4]);
    await put(root, file(0), frameParquet(rowsOf(0, 5)));
    await put(root, file(1), frameParquet(rowsOf(1, 4).reverse()));
    const result = await repaired();
    expect(messages(result)).toEqual(
      expect.arrayContaining(['length corrected from 3 to 5 frames', 'rows put in the order of their frames']),
    );
    expect((await statesOf(copy)).slice(5)).toEqual([0, 1, 2, 3].map((k) => stateAt(1, k)));
  });

  it('puts timestamps on the grid, counts totals anew, and numbers episodes from 0', async () => {
    await writeFixture(root, { version: 'v2.1', lengths: [3, 4], cameras: [], numbers: [2, 5] });
    await put(root, file(5), frameParquet(rowsOf(5, 4, ({ position }) => ({ timestamp: position * 0.13 }))));
    await editInfo({ total_frames: 99, total_episodes: 1 });
    const result = await repaired();
    expect(messages(result)).toEqual(
      expect.arrayContaining([
        'timestamps put on the grid of 10 fps',
        'totals of meta/info.json counted anew (were 1 episodes, 99 frames)',
        'episodes numbered from 0 without gaps',
      ]),
    );
    const dataset = await openDataset(copy);
    expect(dataset.drift.fromGrid).toBeLessThan(1e-6);
    expect(dataset.info.episodes.map(({ episodeIndex }) => episodeIndex)).toEqual([0, 1]);
    await dataset.close();
  });

  it('lists an episode once that is listed twice', async () => {
    await v2();
    const table = path.join(root, 'meta/episodes.jsonl');
    const text = await readFile(table, 'utf8');
    await writeFile(table, text + text.split('\n')[1]! + '\n');
    await expect(openDataset(root)).rejects.toMatchObject({ code: 'DATASET_METADATA', hint: expect.stringContaining('--fix') as string });
    expect((await validateDataset(root)).ok).toBe(false);
    expect(messages(await repaired())).toContain('1 episodes listed twice in meta/ are listed once');
  });

  it('adds the task that is said, where an episode has none', async () => {
    await v2();
    await put(root, 'meta/episodes.jsonl', '{"episode_index":0,"length":3}\n{"episode_index":1,"length":4}\n');
    await unlink(path.join(root, 'meta/tasks.jsonl'));
    await expect(repairDataset(root, copy)).rejects.toMatchObject({ code: 'DATASET_NOT_REPAIRABLE' });
    expect((await repaired({ task: 'wave' })).tasks).toEqual(['wave']);
  });

  it('leaves out, only when asked, what cannot be read, and says what and why', async () => {
    await v2([3, 4, 3, 5]);
    await unlink(path.join(root, file(0)));
    await put(root, file(1), frameParquet(rowsOf(1, 4, ({ position }) => (position === 2 ? { state: [NaN, 0] } : {}))));
    await put(root, file(2), frameParquet(rowsOf(2, 3).filter(({ position }) => position !== 1)));
    await expect(repairDataset(root, copy)).rejects.toMatchObject({
      code: 'DATASET_NOT_REPAIRABLE',
      hint: expect.stringContaining('--drop unreadable') as string,
    });
    expect(await readdir(folder)).not.toContain(path.basename(copy));
    const result = await repaired({ drop: ['unreadable'] });
    expect(result.dropped).toEqual([
      { episode: 0, reason: 'unreadable', message: expect.stringContaining('is missing') as string },
      { episode: 1, reason: 'unreadable', message: expect.stringContaining('row 2, column "observation.state": value 0 is NaN') as string },
      { episode: 2, reason: 'unreadable', message: expect.stringContaining('lacks frame 1 of episode 2') as string },
    ]);
    expect(await statesOf(copy)).toEqual([0, 1, 2, 3, 4].map((k) => stateAt(3, k)));
  });

  it('leaves out duplicates when asked', async () => {
    await v2([4, 4]);
    await put(root, file(1), frameParquet(rowsOf(1, 4, ({ position }) => ({ state: stateAt(0, position), action: stateAt(0, position + 1) }))));
    await put(root, file(0), frameParquet(rowsOf(0, 4, ({ position }) => ({ state: stateAt(0, position), action: stateAt(0, position + 1) }))));
    const { dropped } = await repaired({ drop: ['duplicate'] });
    expect(dropped).toEqual([{ episode: 1, reason: 'duplicate', message: expect.stringContaining('episode 0') as string }]);
  });

  it('overwrites nothing, and fails when nothing would be left', async () => {
    await v2([3]);
    await mkdir(copy);
    await writeFile(path.join(copy, 'mine'), '');
    await expect(repairDataset(root, copy)).rejects.toMatchObject({ code: 'DATASET_EXISTS' });
    expect(await readdir(copy)).toEqual(['mine']);
    await rm(copy, { recursive: true });
    await unlink(path.join(root, file(0)));
    await expect(repairDataset(root, copy, { drop: ['unreadable'] })).rejects.toMatchObject({ code: 'DATASET_NOT_REPAIRABLE' });
  });

  it('stops when told to, leaving nothing', async () => {
    await v2();
    const controller = new AbortController();
    const onEpisode = (): void => {
      controller.abort();
    };
    await expect(repairDataset(root, copy, { signal: controller.signal, onEpisode })).rejects.toMatchObject({ code: 'CANCELLED' });
    expect((await readdir(folder)).filter((name) => name.includes(path.basename(copy)))).toEqual([]);
  });
});

describe('repairDataset: videos', () => {
  const video = (episode: number): string => path.join(root, `videos/chunk-000/${TOP}/episode_00000${episode}.mp4`);
  const encode = (target: string, frames: number, fps = 10): void => {
    encodeNumbered(target, CODINGS['H.264 as LeRobot codes it'], { frames, fps });
  };

  it('cuts rows that have no images, and takes the size of images from the videos', async () => {
    await v2([3, 4], [TOP]);
    encode(video(0), 3);
    encode(video(1), 3);
    expect((await validateDataset(root)).ok).toBe(false);
    const result = await repaired();
    expect(result.changes).toContainEqual({ message: 'the last 1 of 4 rows left out: there are no images of them', episode: 1 });
    expect(result.frames).toBe(6);
  });

  it('takes the frame rate that the videos have where info.json says another', async () => {
    await v2([12, 12], [TOP]);
    for (const episode of [0, 1]) encode(video(episode), 12);
    await editInfo({ fps: 30 });
    await expect(openDataset(root)).rejects.toMatchObject({
      code: 'DATASET_VIDEO',
      message: expect.stringContaining('plays at 10 frames a second; meta/info.json says 30') as string,
    });
    const report = await validateDataset(root);
    expect(report.ok).toBe(false);
    expect(report.counts.warning.FRAME_RATE).toBe(2);
    expect(messages(await repaired())).toContain('fps corrected from 30 to 10, at which all videos play');
  });

  it('leaves episodes of a v3.0 set out and still finds the images of the others in the same file', async () => {
    await writeFixture(root, { version: 'v3.0', lengths: [3, 4, 5], cameras: [TOP], episodesPerFile: 3 });
    const target = path.join(root, `videos/${TOP}/chunk-000/file-000.mp4`);
    encode(target, 12);
    const rows = [0, 1, 2].flatMap((episode) =>
      rowsOf(episode, [3, 4, 5][episode]!, ({ position }) => (episode === 0 && position === 1 ? { state: [Infinity, 0] } : {})),
    );
    await put(root, 'data/chunk-000/file-000.parquet', frameParquet(rows));
    // The other episodes of a file with a bad row can be read all the same.
    await (await openDataset(`${root}?episodes=1-2`)).close();
    await expect(openDataset(root)).rejects.toMatchObject({ code: 'DATASET_ROWS', row: 1, episode: 0 });
    const report = await validateDataset(root);
    expect(report.counts.error).toEqual({ DATASET_ROWS: 1 });
    expect(report.checked.episodes).toBe(2);
    const { dropped } = await repaired({ drop: ['unreadable'] });
    expect(dropped.map(({ episode }) => episode)).toEqual([0]);
    const dataset = await openDataset(copy);
    const numbers = await Promise.all([0, 3, 4, 8].map(async (frame) => numberOf((await dataset.images(frame, [TOP]))[0]!)));
    expect(numbers).toEqual([3, 6, 7, 11]);
    await dataset.close();
  });

  it('leaves a frozen camera out when asked', async () => {
    await v2([3, 4], [TOP]);
    encode(video(0), 3);
    encodeNumbered(video(1), CODINGS['H.264 as LeRobot codes it'], { frames: 4, fps: 10, isFrozen: true });
    expect((await validateDataset(root)).counts.warning.FROZEN_CAMERA).toBe(1);
    const { dropped } = await repaired({ drop: ['frozen'] });
    expect(dropped).toEqual([{ episode: 1, reason: 'frozen', message: `${TOP} is frozen` }]);
  });
});
