import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { convertDataset, openDataset, repairDataset, validateDataset, type OpenOptions } from '../src/index.ts';
import { CODINGS, encodeNumbered, numberOf, type Coding } from './encode-video.ts';
import { column, frameParquet, listColumn, parquet, put, writeFixture, type FixtureRow } from './fixtures.ts';

let folder: string;
let root: string;
let copy: string;
let count = 0;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-pictures-'));
});
beforeEach(() => {
  root = path.join(folder, `set-${count}`);
  copy = path.join(folder, `copy-${count++}`);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const TOP = 'observation.images.top';
const FPS = 10;
const data = (episode: number): string => `data/chunk-000/episode_00000${episode}.parquet`;
const video = (episode: number): string => path.join(root, `videos/chunk-000/${TOP}/episode_00000${episode}.mp4`);
const H264 = CODINGS['H.264 as LeRobot codes it'];
const encode = (target: string, frames: number, options: object = {}, coding: Coding = H264): void => {
  encodeNumbered(target, coding, { frames, fps: FPS, ...options });
};

/** The numbers that the pictures of all rows spell. */
async function pictures(uri: string, options: OpenOptions = {}): Promise<number[]> {
  const dataset = await openDataset(uri, { video: { threads: 1 }, ...options });
  try {
    const all = Array.from({ length: dataset.info.frameCount }, (_, frame) => frame);
    return await Promise.all(all.map(async (frame) => numberOf((await dataset.images(frame, [TOP]))[0]!)));
  } finally {
    await dataset.close();
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

const rowsAt = (times: readonly number[], change: (k: number) => Partial<FixtureRow> = () => ({})): FixtureRow[] =>
  times.map((timestamp, k) => ({ episode: 0, position: k, index: k, timestamp, task: 0, ...change(k) }));

/** One episode with these timestamps, over a video of so many frames. */
async function episodeAt(times: readonly number[], frames: number, change?: (k: number) => Partial<FixtureRow>): Promise<void> {
  await writeFixture(root, { version: 'v2.1', lengths: [times.length], fps: FPS });
  await put(root, data(0), frameParquet(rowsAt(times, change)));
  encode(video(0), frames);
}

describe('which frame belongs to a row', () => {
  it.each([
    ['rows cut out at the beginning', range(4, 12).map((k) => k / FPS), range(4, 12)],
    ['rows cut out in between', [0, 1, 2, 6, 7, 11].map((k) => k / FPS), [0, 1, 2, 6, 7, 11]],
  ])('is the one that its timestamp names: %s of an uncut video', async (_, times, numbers) => {
    await episodeAt(times, 12);
    expect(await pictures(root)).toEqual(numbers);
    expect(await pictures(`${root}?lookup=position`)).toEqual(range(0, numbers.length));
    const report = await validateDataset(root);
    expect(report.ok).toBe(true);
    expect(report.findings).toContainEqual(expect.objectContaining({ code: 'TIMESTAMPS', message: expect.stringContaining('are read by timestamp') as string }));
  });

  it('is the same where the rows kept the frame numbers of the whole recording', async () => {
    await episodeAt(range(4, 12).map((k) => k / FPS), 12, (k) => ({ position: k + 4 }));
    expect(await pictures(root)).toEqual(range(4, 12));
  });

  it('is the one at its position where clocks drift, and the video has as many frames as there are rows', async () => {
    await episodeAt(range(0, 12).map((k) => k * 0.131), 12);
    expect(await pictures(root)).toEqual(range(0, 12));
    const { findings } = await validateDataset(root);
    expect(findings).toContainEqual(expect.objectContaining({ code: 'TIMESTAMPS', message: expect.stringContaining('are read by position') as string }));
  });

  it('is refused where neither is sure, unless the address says it', async () => {
    await episodeAt(range(0, 10).map((k) => k * 0.131), 14);
    await expect(openDataset(root)).rejects.toMatchObject({ code: 'DATASET_VIDEO', episode: 0, hint: expect.stringContaining('?lookup=position') as string });
    expect((await validateDataset(root)).counts.error).toEqual({ DATASET_VIDEO: 1 });
    await expect(repairDataset(root, copy)).rejects.toMatchObject({ code: 'DATASET_NOT_REPAIRABLE' });
    expect(await pictures(`${root}?lookup=position`)).toEqual(range(0, 10));
  });

  it('is the k-th one of a video whose frames do not follow at equal distances', async () => {
    const times = [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 11.9].map((time) => time * 10);
    await writeFixture(root, { version: 'v2.1', lengths: [12], fps: FPS });
    encodeNumbered(video(0), H264, { frames: 12, fps: 100, times });
    expect(await pictures(root)).toEqual(range(0, 12));
  });

  it.each([
    ['cut out at the beginning', range(4, 12)],
    ['cut out in between', [0, 1, 2, 6, 7, 11]],
  ])('stays the same in a repaired and in a converted copy, by position and by timestamp: rows %s', async (_, frames) => {
    await episodeAt(frames.map((k) => k / FPS), 12);
    const converted = `${copy}-v3`;
    await repairDataset(root, copy);
    await convertDataset(root, converted, { timestamps: 'regular' });
    for (const made of [copy, converted]) {
      expect(await pictures(made)).toEqual(frames);
      expect(await pictures(made, { lookup: 'timestamp', tolerance: 1e-4 })).toEqual(frames);
    }
  });
});

describe("a stream's start time", () => {
  it.each([
    ['H.264 with B-frames', true],
    ['H.264 with B-frames', false],
    ['AV1 as LeRobot codes it', true],
    ['HEVC with open groups', true],
  ] as const)('is taken off: %s, in fragments: %s', async (coding, isFragmented) => {
    await writeFixture(root, { version: 'v2.1', lengths: [14], fps: FPS });
    encode(video(0), 14, { isFragmented }, CODINGS[coding]);
    expect(await pictures(root)).toEqual(range(0, 14));
  });

  it('does not hide that a fragmented video is too short', async () => {
    await writeFixture(root, { version: 'v2.1', lengths: [14], fps: FPS });
    encode(video(0), 11, { isFragmented: true }, CODINGS['H.264 with B-frames']);
    await expect(openDataset(root)).rejects.toMatchObject({ code: 'DATASET_VIDEO', message: expect.stringContaining('holds 11 frames') as string });
  });
});

describe('stretches of a video', () => {
  const shared = (file: number): string => path.join(root, `videos/${TOP}/chunk-000/file-00${file}.mp4`);

  /** Six episodes in two files, whose metadata says where their videos are. */
  async function merged(videoFile: readonly number[], from: readonly number[]): Promise<void> {
    const lengths = [3, 4, 5, 5, 4, 3];
    await writeFixture(root, { version: 'v3.0', lengths, fps: FPS, episodesPerFile: 3 });
    encode(shared(0), 12);
    encode(shared(1), 12, { first: 100 });
    const big = (values: readonly number[]): bigint[] => values.map((value) => BigInt(value));
    const zeros = lengths.map(() => 0);
    await put(root, 'meta/episodes/chunk-000/file-000.parquet', parquet([
      column('episode_index', 'INT64', big(range(0, 6))),
      column('length', 'INT64', big(lengths)),
      column('data/chunk_index', 'INT64', big(zeros)),
      column('data/file_index', 'INT64', big([0, 0, 0, 1, 1, 1])),
      listColumn('tasks', 'BYTE_ARRAY', lengths.map(() => ['push'])),
      column(`videos/${TOP}/chunk_index`, 'INT64', big(zeros)),
      column(`videos/${TOP}/file_index`, 'INT64', big(videoFile)),
      column(`videos/${TOP}/from_timestamp`, 'DOUBLE', from),
    ]));
  }
  const right = [...range(0, 12), ...range(100, 112)];
  const starts = [0, 0.3, 0.7, 0, 0.5, 0.9];

  it('are read where every episode has its own', async () => {
    await merged([0, 0, 0, 1, 1, 1], starts);
    expect(await pictures(root)).toEqual(right);
  });

  it.each([
    ['claimed by two episodes each', [1, 1, 1, 1, 1, 1], starts, 'the episodes 0, 1, 2, 3, 4, 5 claim the same stretch'],
    ['beyond the end of the file named', [1, 1, 1, 1, 1, 1], [0, 0.3, 0.7, 1.2, 1.7, 2.1], 'begin beyond its 12 frames'],
  ])('are an error of all episodes and corrected in a repaired copy: %s', async (_, file, from, words) => {
    await merged(file, from);
    for (const uri of [root, `${root}?episodes=0-1`]) {
      await expect(openDataset(uri)).rejects.toMatchObject({
        code: 'DATASET_VIDEO',
        message: expect.stringMatching(`${words}.*no episode uses videos/${TOP}/chunk-000/file-000.mp4`) as string,
      });
    }
    expect((await validateDataset(root)).ok).toBe(false);
    await repairDataset(root, copy);
    expect(await pictures(copy)).toEqual(right);
  });

  it.each([true, false])('whose right file cannot be told are in no repaired copy; file missing: %s', async (isMissing) => {
    await merged([1, 1, 1, 1, 1, 1], [0, 0.3, 0.7, 1.2, 1.7, 2.1]);
    if (isMissing) await rm(shared(0));
    else encode(shared(0), 11);
    await expect(repairDataset(root, copy, { drop: ['unreadable'] })).rejects.toMatchObject({ code: 'DATASET_NOT_REPAIRABLE' });
  });

  it('are an error where two episodes of v2.1 name one file', async () => {
    await writeFixture(root, { version: 'v2.1', lengths: [4, 4], fps: FPS });
    const file = path.join(root, 'meta/info.json');
    const info = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    await writeFile(file, JSON.stringify({ ...info, video_path: 'videos/chunk-{episode_chunk:03d}/{video_key}/episode_000000.mp4' }));
    encode(video(0), 4);
    await expect(openDataset(root)).rejects.toMatchObject({ code: 'DATASET_VIDEO', message: expect.stringContaining('the episodes 0, 1 claim the same') as string });
  });
});
