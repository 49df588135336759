import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDataset } from '../read/open.ts';
import { convertDataset } from './convert.ts';
import { ParquetFile } from './parquet-file.ts';
import { VideoFile } from './video-file.ts';

const CAMERA = 'observation.images.front';
const LENGTHS = [4, 6];
const FPS = 5;

let folder: string;
let old: string;
let target: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-convert-'));
  old = path.join(folder, 'old');
  target = path.join(folder, 'new');
  await writeOldDataset();
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** A v2.1 dataset as recorders write them: one parquet and one video file an episode, no `index`, an extra column. */
async function writeOldDataset(change: (info: Record<string, unknown>) => void = () => undefined): Promise<void> {
  await rm(old, { recursive: true, force: true });
  for (const sub of ['meta', 'data/chunk-000', `videos/chunk-000/${CAMERA}`])
    await mkdir(path.join(old, sub), { recursive: true });
  const vector = { dtype: 'float32', shape: [2], names: ['x', 'y'] };
  const info = {
    codebase_version: 'v2.1',
    robot_type: 'so100',
    fps: FPS,
    total_episodes: LENGTHS.length,
    total_frames: 10,
    chunks_size: 1000,
    data_path: 'data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet',
    video_path: 'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4',
    features: {
      'observation.state': vector,
      action: vector,
      [CAMERA]: {
        dtype: 'video',
        shape: [16, 32, 3],
        names: ['height', 'width', 'channels'],
        info: { 'video.pix_fmt': 'yuv420p' },
      },
      'next.reward': { dtype: 'float32', shape: [1], names: null },
    },
  };
  change(info);
  await writeFile(path.join(old, 'meta/info.json'), JSON.stringify(info));
  await writeFile(path.join(old, 'meta/tasks.jsonl'), '{"task_index": 0, "task": "Old task."}\n');
  const lines = LENGTHS.map((length, episode) =>
    JSON.stringify({ episode_index: episode, length, tasks: ['Old task.'] }),
  );
  await writeFile(path.join(old, 'meta/episodes.jsonl'), lines.join('\n'));
  for (const [episode, length] of LENGTHS.entries()) {
    const name = `episode_${String(episode).padStart(6, '0')}`;
    const rows = Array.from({ length }, (_, k) => k);
    const file = new ParquetFile(path.join(old, `data/chunk-000/${name}.parquet`), [
      { name: 'observation.state', type: 'float64', nesting: 1 },
      { name: 'action', type: 'float64', nesting: 1 },
      { name: 'timestamp', type: 'float64', nesting: 0 },
      { name: 'episode_index', type: 'int64', nesting: 0 },
      { name: 'frame_index', type: 'int64', nesting: 0 },
    ]);
    await file.append([
      rows.map((k) => [k, episode]),
      rows.map((k) => [-k, 0.5]),
      rows.map((k) => k / FPS + 0.01 * (k % 2)),
      rows.map(() => BigInt(episode)),
      rows.map(BigInt),
    ]);
    await file.close();
    const video = await VideoFile.create({
      path: path.join(old, `videos/chunk-000/${CAMERA}/${name}.mp4`),
      width: 32,
      height: 16,
      fps: FPS,
      codec: 'h264',
    });
    for (const k of rows)
      await video.write({ width: 32, height: 16, data: new Uint8Array(32 * 16 * 3).fill(20 + 30 * k + episode * 10) });
    video.close();
  }
}

const hashOf = async (file: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

describe('convertDataset', () => {
  it('keeps rows, tasks, timestamps and the very bytes of the videos', async () => {
    const progress: number[] = [];
    const result = await convertDataset(old, target, { onEpisode: ({ episodes }) => progress.push(episodes) });
    expect(result).toMatchObject({ episodes: 2, frames: 10, tasks: ['Old task.'], leftOut: ['next.reward'] });
    expect(progress).toEqual([1, 2]);

    const before = await openDataset(old);
    const after = await openDataset(target);
    expect(after.version).toBe('v3.0');
    for (let frame = 0; frame < 10; frame++) {
      expect(after.state(frame)).toEqual(before.state(frame));
      expect(after.actionChunk(frame, 3)).toEqual(before.actionChunk(frame, 3));
      expect(after.timestamp(frame)).toBeCloseTo(before.timestamp(frame), 6);
      expect(after.task(frame)).toBe('Old task.');
      expect(await after.images(frame, [CAMERA])).toEqual(await before.images(frame, [CAMERA]));
      const [position, original] = [after, before].map((dataset) => dataset.videoPosition(frame, CAMERA));
      expect(await hashOf(position!.file)).toBe(await hashOf(original!.file));
    }
    await before.close();
    await after.close();
    const info = JSON.parse(await readFile(path.join(target, 'meta/info.json'), 'utf8')) as {
      features: Record<string, { info?: unknown }>;
    };
    expect(info.features[CAMERA]!.info).toMatchObject({ 'video.codec': 'h264', 'video.pix_fmt': 'yuv420p' });
  });

  it('puts frames on the grid of the frame rate when asked to', async () => {
    await convertDataset(old, target, { timestamps: 'regular' });
    const dataset = await openDataset(target);
    expect(dataset.drift.fromGrid).toBeLessThan(1e-6);
    await dataset.close();
  });

  it('leaves nothing behind when it is cancelled or a video is missing', async () => {
    const controller = new AbortController();
    const onEpisode = (): void => {
      controller.abort();
    };
    await expect(convertDataset(old, target, { signal: controller.signal, onEpisode })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    await rm(path.join(old, `videos/chunk-000/${CAMERA}/episode_000001.mp4`));
    await expect(convertDataset(old, target)).rejects.toMatchObject({ code: 'DATASET_FILE_MISSING' });
    expect(await readdir(folder)).toEqual(['old']);
  });

  it('refuses what is v3.0 already, and camera names that are no folder names', async () => {
    await convertDataset(old, target);
    const again = path.join(folder, 'again');
    await expect(convertDataset(target, again)).rejects.toMatchObject({ code: 'DATASET_NOT_CONVERTIBLE' });

    await writeOldDataset((info) => {
      (info['features'] as Record<string, unknown>)['../still'] = { dtype: 'image', shape: [16, 32, 3], names: null };
    });
    await expect(convertDataset(old, again)).rejects.toMatchObject({ code: 'DATASET_NOT_CONVERTIBLE' });
    expect((await readdir(folder)).sort()).toEqual(['new', 'old']);
  });
});
