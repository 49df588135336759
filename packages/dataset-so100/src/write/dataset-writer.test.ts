import { mkdtemp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { RgbImage } from '@zk0/core';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataset } from '../read/open.ts';
import { createDatasetWriter, type DatasetWriterOptions, type EpisodeFrame } from './dataset-writer.ts';

const TOP = { key: 'observation.images.top', width: 32, height: 16 };
const WRIST = { key: 'observation.images.wrist', width: 16, height: 32 };
const SHAPE = {
  fps: 10,
  robotType: 'so100_follower',
  stateNames: ['a.pos', 'b.pos'],
  actionNames: ['a.pos', 'b.pos', 'c.pos'],
  cameras: [TOP, WRIST],
} satisfies DatasetWriterOptions;

let folder: string;
let target: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-write-'));
  target = path.join(folder, 'set');
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

function flat({ width, height }: typeof TOP, gray: number): RgbImage {
  return { width, height, data: new Uint8Array(width * height * 3).fill(gray) };
}

/** Frame `k` of an episode: its numbers say where it belongs, its pictures are uniformly as bright as `shade + k`. */
function frameAt(k: number, shade: number): EpisodeFrame {
  return {
    state: [k, shade],
    action: [k + 0.5, -shade, 0.1],
    images: { [TOP.key]: flat(TOP, shade + k), [WRIST.key]: flat(WRIST, 255 - shade - k) },
  };
}

function frames(length: number, shade: number): EpisodeFrame[] {
  return Array.from({ length }, (_, k) => frameAt(k, shade));
}

async function rowsOf(file: string): Promise<Record<string, unknown>[]> {
  return parquetReadObjects({ file: await asyncBufferFromFile(path.join(target, file)) });
}

describe('createDatasetWriter', () => {
  it('writes what the reader reads: numbers, tasks, and each frame at its place', async () => {
    const writer = await createDatasetWriter(target, SHAPE);
    const lengths = [3, 5, 2];
    for (const [episode, length] of lengths.entries()) {
      const task = episode === 1 ? 'Second task.' : 'First task.';
      expect(await writer.addEpisode({ task, frames: frames(length, 40 * (episode + 1)) })).toBe(length);
    }
    expect(await writer.finish()).toEqual({
      path: target,
      episodes: 3,
      frames: 10,
      tasks: ['First task.', 'Second task.'],
    });

    const dataset = await openDataset(target);
    expect(dataset.warnings).toEqual([]);
    expect(dataset.info).toMatchObject({ fps: 10, robotType: 'so100_follower', frameCount: 10, cameras: [TOP, WRIST] });
    for (const [episode, { from, to }] of dataset.info.episodes.entries()) {
      const shade = 40 * (episode + 1);
      for (let frame = from; frame < to; frame++) {
        const k = frame - from;
        expect([...dataset.state(frame)]).toEqual([k, shade]);
        expect([...dataset.actionChunk(frame, 1).actions]).toEqual([k + 0.5, -shade, Math.fround(0.1)]);
        expect(dataset.task(frame)).toBe(episode === 1 ? 'Second task.' : 'First task.');
        const images = await dataset.images(frame, [TOP.key, WRIST.key]);
        const [top, wrist] = images.map(({ data }) => data.reduce((sum, value) => sum + value, 0) / data.length);
        expect(Math.abs(top! - (shade + k))).toBeLessThan(1.6);
        expect(Math.abs(wrist! - (255 - shade - k))).toBeLessThan(1.6);
      }
    }
    await dataset.close();
  });

  it('writes rows and metadata in the layout of LeRobot v3.0', async () => {
    const writer = await createDatasetWriter(target, SHAPE);
    await writer.addEpisode({ task: 'First task.', frames: frames(3, 40) });
    await writer.addEpisode({ task: 'Second task.', frames: frames(4, 80) });
    await writer.finish();

    const files = await readdir(target, { recursive: true, withFileTypes: true });
    const paths = files
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(target, path.join(entry.parentPath, entry.name)));
    expect(paths.sort()).toEqual([
      'data/chunk-000/file-000.parquet',
      'meta/episodes/chunk-000/file-000.parquet',
      'meta/info.json',
      'meta/stats.json',
      'meta/tasks.parquet',
      'videos/observation.images.top/chunk-000/file-000.mp4',
      'videos/observation.images.wrist/chunk-000/file-000.mp4',
    ]);

    const rows = await rowsOf('data/chunk-000/file-000.parquet');
    expect(rows).toHaveLength(7);
    expect(rows[4]).toEqual({
      action: [1.5, -80, Math.fround(0.1)],
      'observation.state': [1, 80],
      timestamp: Math.fround(0.1),
      frame_index: 1n,
      episode_index: 1n,
      index: 4n,
      task_index: 1n,
    });
    const metadata = await parquetMetadataAsync(
      await asyncBufferFromFile(path.join(target, 'data/chunk-000/file-000.parquet')),
    );
    const { value } = metadata.key_value_metadata!.find(({ key }) => key === 'huggingface')!;
    expect(JSON.parse(value!)).toMatchObject({
      info: { features: { action: { feature: { dtype: 'float32' }, length: 3, _type: 'List' } } },
    });

    const [, second] = await rowsOf('meta/episodes/chunk-000/file-000.parquet');
    expect(second).toMatchObject({
      episode_index: 1n,
      tasks: ['Second task.'],
      length: 4n,
      dataset_from_index: 3n,
      dataset_to_index: 7n,
      'videos/observation.images.top/file_index': 0n,
      'videos/observation.images.top/from_timestamp': 0.3,
      'videos/observation.images.top/to_timestamp': 0.7,
      'stats/observation.state/max': [3, 80],
      'stats/frame_index/max': [3n],
      'stats/observation.images.top/count': [4n],
      'stats/observation.images.top/mean': [[[81.5 / 255]], [[81.5 / 255]], [[81.5 / 255]]],
    });
    const stats = JSON.parse(await readFile(path.join(target, 'meta/stats.json'), 'utf8')) as Record<string, unknown>;
    expect(stats['action']).toMatchObject({ count: [7], min: [0.5, -80, Math.fround(0.1)] });
    expect(stats['observation.images.wrist']).toMatchObject({
      count: [7],
      max: [[[215 / 255]], [[215 / 255]], [[215 / 255]]],
    });
    expect(await rowsOf('meta/tasks.parquet')).toEqual([
      { task_index: 0n, task: 'First task.' },
      { task_index: 1n, task: 'Second task.' },
    ]);
    const info = JSON.parse(await readFile(path.join(target, 'meta/info.json'), 'utf8')) as Record<string, unknown>;
    expect(info).toMatchObject({
      codebase_version: 'v3.0',
      total_episodes: 2,
      total_frames: 7,
      total_tasks: 2,
      splits: { train: '0:2' },
    });
  });

  it('begins new files once one has grown beyond the limit', async () => {
    const writer = await createDatasetWriter(target, { ...SHAPE, fileLimits: { dataMegabytes: 0, videoMegabytes: 0 } });
    for (const shade of [40, 80, 120]) await writer.addEpisode({ task: 'Again.', frames: frames(3, shade) });
    await writer.finish();
    expect(await readdir(path.join(target, 'data/chunk-000'))).toHaveLength(3);
    expect(await readdir(path.join(target, 'videos', TOP.key, 'chunk-000'))).toHaveLength(3);
    const dataset = await openDataset(target);
    expect(dataset.videoPosition(7, TOP.key)).toMatchObject({ timestamp: 0.1 });
    const [image] = await dataset.images(7, [TOP.key]);
    expect(Math.abs(image!.data[0]! - 121)).toBeLessThan(3);
    expect([...dataset.state(7)]).toEqual([1, 120]);
    await dataset.close();
  });

  it('writes datasets without cameras, and AV1', async () => {
    const blind = await createDatasetWriter(target, { ...SHAPE, cameras: [] });
    await blind.addEpisode({ task: 'Blind.', frames: frames(2, 1) });
    await blind.finish();
    const dataset = await openDataset(target);
    expect(dataset.info.cameras).toEqual([]);
    await dataset.close();

    const camera = { key: 'observation.images.top', width: 64, height: 64 };
    const av1Target = path.join(folder, 'av1');
    const av1 = await createDatasetWriter(av1Target, { ...SHAPE, cameras: [camera], codec: 'av1' });
    const image = flat(camera, 90);
    await av1.addEpisode({
      task: 'AV1.',
      frames: [0, 1, 2].map((k) => ({ ...frameAt(k, 0), images: { [camera.key]: image } })),
    });
    await av1.finish();
    const info = await readFile(path.join(av1Target, 'meta/info.json'), 'utf8');
    expect(info).toContain('"video.codec": "av1"');
    const reopened = await openDataset(av1Target);
    const [decoded] = await reopened.images(2, [camera.key]);
    expect(Math.abs(decoded!.data[100]! - 90)).toBeLessThan(3);
    await reopened.close();
  });

  it('shows nothing under the final name before it is finished', async () => {
    const writer = await createDatasetWriter(target, SHAPE);
    await writer.addEpisode({ task: 'Task.', frames: frames(2, 1) });
    expect((await readdir(folder)).includes('set')).toBe(false);
    await writer.abort();
    expect(await readdir(folder)).toEqual([]);
    await writer.abort();
  });

  it('leaves nothing behind when the frames fail half-way', async () => {
    const writer = await createDatasetWriter(target, SHAPE);
    await writer.addEpisode({ task: 'Task.', frames: frames(2, 1) });
    async function* failing(): AsyncGenerator<EpisodeFrame> {
      yield* frames(3, 1);
      await Promise.resolve();
      throw new Error('the camera was unplugged');
    }
    await expect(writer.addEpisode({ task: 'Task.', frames: failing() })).rejects.toThrow('the camera was unplugged');
    expect(await readdir(folder)).toEqual([]);
    await expect(writer.finish()).rejects.toMatchObject({ code: 'DATASET_WRITER_STATE' });
  });

  it('never overwrites', async () => {
    await mkdir(target);
    const intoEmpty = await createDatasetWriter(target, SHAPE);
    await writeFile(path.join(target, 'notes.txt'), 'mine');
    await intoEmpty.addEpisode({ task: 'Task.', frames: frames(2, 1) });
    await expect(intoEmpty.finish()).rejects.toMatchObject({ code: 'DATASET_EXISTS' });
    await expect(createDatasetWriter(target, SHAPE)).rejects.toMatchObject({ code: 'DATASET_EXISTS' });
    expect(await readFile(path.join(target, 'notes.txt'), 'utf8')).toBe('mine');
    expect(await readdir(folder)).toEqual(['set']);
  });

  it.each([
    ['too few values', { ...frameAt(0, 1), state: [1] }, /observation.state has 1 values for 2 names/],
    ['a value that is not finite', { ...frameAt(0, 1), action: [0, NaN, 0] }, /frame 1: action: b.pos is NaN/],
    ['a value beyond float32', { ...frameAt(0, 1), action: [0, 1e300, 0] }, /float32 cannot hold/],
    ['a missing camera', { ...frameAt(0, 1), images: {} }, /no image of observation.images.top/],
    [
      'an image of another size',
      { ...frameAt(0, 1), images: { [TOP.key]: flat(WRIST, 1) } },
      /is 16 × 32 .* declared were 32 × 16/,
    ],
  ])('refuses a frame with %s', async (_, bad, message) => {
    const writer = await createDatasetWriter(target, SHAPE);
    const adding = writer.addEpisode({ task: 'Task.', frames: [frameAt(0, 1), bad] });
    await expect(adding).rejects.toMatchObject({
      code: 'DATASET_EPISODE_INVALID',
      message: expect.stringMatching(message) as string,
    });
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses an episode without frames or task, and a dataset without episodes', async () => {
    for (const episode of [
      { task: 'Task.', frames: [] },
      { task: ' ', frames: frames(1, 1) },
    ]) {
      const writer = await createDatasetWriter(target, SHAPE);
      await expect(writer.addEpisode(episode)).rejects.toMatchObject({ code: 'DATASET_EPISODE_INVALID' });
    }
    const writer = await createDatasetWriter(target, SHAPE);
    await expect(writer.finish()).rejects.toMatchObject({ code: 'DATASET_EPISODE_INVALID' });
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses two callers at once', async () => {
    const writer = await createDatasetWriter(target, SHAPE);
    const first = writer.addEpisode({ task: 'Task.', frames: frames(2, 1) });
    await expect(writer.addEpisode({ task: 'Task.', frames: frames(2, 1) })).rejects.toMatchObject({
      code: 'DATASET_WRITER_STATE',
    });
    await first;
    await writer.abort();
  });

  it.each([
    [{ fps: 0 }, /fps is 0/],
    [{ fps: 29.97 }, /fps is 29.97/],
    [{ stateNames: [] }, /stateNames has 0 entries/],
    [{ cameras: [{ ...TOP, key: 'observation.images.../etc' }] }, /is not observation.images.<name>/],
    [{ cameras: [{ ...TOP, width: 31 }] }, /width is 31/],
    [{ cameras: [{ ...TOP, height: 100_000 }] }, /height is 100000/],
    [{ cameras: [TOP, TOP] }, /repeat/],
  ])('refuses the shape %j', async (change, message) => {
    await expect(createDatasetWriter(target, { ...SHAPE, ...change })).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual([]);
  });
});
