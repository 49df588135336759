import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import sharp from 'sharp';
import { Random } from '@zk0/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { convertDataset, openDataset, repairDataset, validateDataset, type LeRobotDataset } from '../src/index.ts';
import { PICTURE_SIZE, put, writeFixture, type FixtureOptions, type ImageCell } from './fixtures.ts';

const TOP = 'observation.images.top';
const WRIST = 'observation.images.wrist';
const LENGTHS = [3, 5, 2];
const FRAMES = 10;

let folder: string;
let root: string;
let copy: string;
let count = 0;
let cells: ImageCell[];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-picture-copies-'));
  const random = new Random('pictures');
  cells = await Promise.all(
    Array.from({ length: FRAMES }, async (_, frame) => {
      const pixels = Uint8Array.from({ length: PICTURE_SIZE.width * PICTURE_SIZE.height * 3 }, () => random.below(256));
      const image = sharp(pixels, { raw: { ...PICTURE_SIZE, channels: 3 } });
      return { bytes: await (frame % 3 === 0 ? image.jpeg() : image.png()).toBuffer(), path: `frame-${String(frame).padStart(6, '0')}.png` };
    }),
  );
});
beforeEach(() => {
  root = path.join(folder, `set-${count}`);
  copy = path.join(folder, `copy-${count++}`);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const write = (options: Partial<FixtureOptions> = {}): Promise<void> =>
  writeFixture(root, { version: 'v2.1', lengths: LENGTHS, cameras: [], pictures: { [TOP]: cells, [WRIST]: cells.toReversed() }, ...options });

const withCells = (change: (frame: number) => Partial<ImageCell>): Promise<void> =>
  write({ pictures: { [TOP]: cells.map((cell, frame) => ({ ...cell, ...change(frame) })), [WRIST]: cells.toReversed() } });

/** The cells of the first data file. */
async function storedIn(dataset: string, file = 'data/chunk-000/file-000.parquet'): Promise<ImageCell[]> {
  const bytes = await readFile(path.join(dataset, file));
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const rows = await parquetReadObjects({ file: buffer, columns: [TOP], utf8: false });
  return rows.map((row) => row[TOP] as ImageCell).map((cell) => ({ bytes: Buffer.from(cell.bytes!), path: cell.path }));
}

async function expectSame(before: LeRobotDataset, after: LeRobotDataset, frames: readonly number[]): Promise<void> {
  expect(after.info.frameCount).toBe(frames.length);
  for (const [i, frame] of frames.entries()) {
    expect(after.state(i)).toEqual(before.state(frame));
    expect(after.task(i)).toBe(before.task(frame));
    expect(await after.images(i, [TOP, WRIST])).toEqual(await before.images(frame, [TOP, WRIST]));
  }
  await Promise.all([before.close(), after.close()]);
}

const everyFrame = Array.from({ length: FRAMES }, (_, frame) => frame);

describe('convertDataset: pictures in rows', () => {
  it.each(['v2.0', 'v2.1'] as const)('copies those of %s unchanged into the rows', async (version) => {
    await write({ version });
    expect(await convertDataset(root, copy)).toMatchObject({ episodes: 3, frames: FRAMES, leftOut: [] });
    await expectSame(await openDataset(root), await openDataset(copy), everyFrame);
    expect(await storedIn(copy)).toEqual(cells);
    const { findings } = await validateDataset(copy);
    expect(findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
  });

  it('puts those that lie in files of their own into the rows, without the paths of the recording machine', async () => {
    await withCells((frame) => (frame < 3 ? { bytes: null, path: frame === 0 ? null : `/home/me/set/images/${TOP}/episode_000000/frame_00000${frame}.png` } : {}));
    for (const frame of [0, 1, 2]) await put(root, `images/${TOP}/episode_000000/frame_00000${frame}.png`, cells[frame]!.bytes!);
    await convertDataset(root, copy);
    await expectSame(await openDataset(root), await openDataset(copy), everyFrame);
    expect((await storedIn(copy)).slice(0, 3)).toEqual([0, 1, 2].map((frame) => ({ ...cells[frame], path: `frame_00000${frame}.png` })));
  });

  it('names the row of a picture that is not there, and leaves nothing behind', async () => {
    await withCells((frame) => (frame === 4 ? { bytes: null } : {}));
    await expect(convertDataset(root, copy)).rejects.toMatchObject({ code: 'DATASET_FRAME', episode: 1, row: 1 });
    expect((await readdir(folder)).filter((name) => name.includes(path.basename(copy)))).toEqual([]);
  });
});

describe('repairDataset: pictures in rows', () => {
  it.each(['v2.1', 'v3.0'] as const)('copies those of %s unchanged, and leaves out an episode with a damaged one', async (version) => {
    await write({ version });
    expect(await repairDataset(root, copy)).toMatchObject({ episodes: 3, frames: FRAMES, dropped: [] });
    await expectSame(await openDataset(root), await openDataset(copy), everyFrame);
    expect(await storedIn(copy)).toEqual(cells);

    await rm(root, { recursive: true });
    await rm(copy, { recursive: true });
    await write({ version, pictures: { [TOP]: cells.map((cell, frame) => (frame === 5 ? { ...cell, bytes: cell.bytes!.subarray(0, 60) } : cell)), [WRIST]: cells } });
    await expect(repairDataset(root, copy)).rejects.toMatchObject({ code: 'DATASET_NOT_REPAIRABLE', message: expect.stringContaining('Episode 1') as string });
    const result = await repairDataset(root, copy, { drop: ['unreadable'] });
    expect(result).toMatchObject({ episodes: 2, frames: 5, dropped: [{ episode: 1, reason: 'unreadable' }] });
    const { ok, findings } = await validateDataset(copy);
    expect([ok, findings.filter(({ severity }) => severity !== 'info')]).toEqual([true, []]);
    await expectSame(await openDataset(root), await openDataset(copy), [0, 1, 2, 8, 9]);
  });

  it('cuts rows without pictures at the end of an episode', async () => {
    await withCells((frame) => (frame === 6 || frame === 7 ? { bytes: null } : {}));
    const { changes } = await repairDataset(root, copy);
    expect(changes).toContainEqual({ message: 'the last 2 of 5 rows left out: there are no images of them', episode: 1 });
    await expectSame(await openDataset(root), await openDataset(copy), [0, 1, 2, 3, 4, 5, 8, 9]);
  });

  it('corrects the size that meta/info.json claims', async () => {
    await write();
    const file = path.join(root, 'meta/info.json');
    await put(root, 'meta/info.json', (await readFile(file, 'utf8')).replaceAll('[12,16,3]', '[24,32,3]'));
    await repairDataset(root, copy);
    const after = await openDataset(copy);
    expect(after.info.cameras).toEqual([TOP, WRIST].map((key) => ({ key, ...PICTURE_SIZE })));
    await after.close();
  });
});
