import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { Random } from '@zk0/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadSamples, openDataset, readDeltaSample, validateDataset } from '../src/index.ts';
import { decodePicture } from '../src/read/picture.ts';
import { column, frameParquet, PICTURE_SIZE, put, writeFixture, type ImageCell } from './fixtures.ts';

const { width: WIDTH, height: HEIGHT } = PICTURE_SIZE;
const TOP = 'observation.images.top';
let folder: string;
let sets = 0;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-images-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const digest = (bytes: Uint8Array | Float32Array): string =>
  createHash('sha256').update(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)).digest('hex');

/** What `golden/make_images.py` recorded and read back with the real LeRobot. */
interface Golden {
  readonly deltas: Readonly<Record<string, readonly number[]>>;
  readonly samples: readonly {
    readonly episode: number;
    readonly frame: number;
    readonly timestamp: number;
    readonly task: string;
    readonly state: string;
    readonly action: string;
    readonly images: Readonly<Record<string, readonly string[]>>;
    readonly isPad: Readonly<Record<string, readonly number[]>>;
  }[];
}

describe('pictures in rows, against LeRobot', () => {
  const golden = JSON.parse(readFileSync(path.join(import.meta.dirname, 'golden/images.json'), 'utf8')) as Golden;

  it('gives every sample with its past and future byte for byte', async () => {
    const dataset = await openDataset(path.join(import.meta.dirname, 'golden/images-v30'));
    expect(dataset.info.frameCount).toBe(golden.samples.length);
    for (const [index, expected] of golden.samples.entries()) {
      const sample = await readDeltaSample(dataset, index, golden.deltas);
      expect({
        episode: sample.episodeIndex,
        frame: sample.frameIndex,
        timestamp: Math.fround(sample.timestamp),
        task: sample.task,
        state: digest(sample.state),
        action: digest(sample.action),
        images: Object.fromEntries(Object.entries(sample.images).map(([key, images]) => [key, images.map(({ data }) => digest(data))])),
        isPad: Object.fromEntries(Object.entries(sample.isPad).map(([key, flags]) => [key, Array.from(flags)])),
      }).toEqual(expected);
    }
    await dataset.close();
  });

  it('opens some episodes, and knows each by its content', async () => {
    const root = path.join(import.meta.dirname, 'golden/images-v30');
    const dataset = await openDataset(root, { episodes: [1] });
    const expected = golden.samples.find(({ episode, frame }) => episode === 1 && frame === 2)!;
    const [image] = await dataset.images(2, ['observation.images.wrist']);
    expect(digest(image!.data)).toBe(expected.images['observation.images.wrist']![0]);
    await dataset.close();
    await expect(readDeltaSample(dataset, 0, { action: [0.05] })).rejects.toThrow('no multiple');
    await expect(readDeltaSample(dataset, 0, { gripper: [0] })).rejects.toThrow('none of');
    await expect(dataset.images(0, ['observation.images.wrist'])).rejects.toMatchObject({ code: 'DATASET_CLOSED' });
  });
});

/** A v2.1 dataset of one episode whose camera `top` holds these cells. */
async function writeSet(cells: readonly ImageCell[]): Promise<string> {
  const root = path.join(folder, `set-${sets++}`);
  await writeFixture(root, { version: 'v2.1', lengths: [cells.length], cameras: [], pictures: { [TOP]: cells } });
  return root;
}

const pixels = Buffer.from(Uint8Array.from({ length: HEIGHT * WIDTH * 3 }, ((random) => () => random.below(256))(new Random('pixels'))));
const picture = (): Sharp => sharp(pixels, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } });
const inRow = async (image: Sharp): Promise<ImageCell> => ({ bytes: await image.toBuffer(), path: 'frame_000000.png' });

describe('pictures of every kind, against Pillow', () => {
  const golden = JSON.parse(readFileSync(path.join(import.meta.dirname, 'golden/pictures.json'), 'utf8')) as {
    readonly pictures: readonly { name: string; file: string; width: number; height: number; rgb: string }[];
  };
  it.each(golden.pictures)('$name', async ({ file, width, height, rgb }) => {
    const image = await decodePicture(Buffer.from(file, 'base64'), { width, height });
    expect(digest(image.data)).toBe(rgb);
  });
});

describe('cameras that keep pictures in rows', () => {
  it('reads files that the rows name, or that lie where LeRobot puts them', async () => {
    const root = await writeSet([
      { bytes: null, path: `images/${TOP}/episode_000000/frame_000000.png` },
      { bytes: null, path: `/home/someone/.cache/set/images/${TOP}/episode_000000/frame_000001.png` },
      { bytes: null, path: null },
      { bytes: null, path: '../../../../etc/passwd' },
    ]);
    for (const frame of [0, 1, 2]) await put(root, `images/${TOP}/episode_000000/frame_00000${frame}.png`, await picture().png().toBuffer());
    const dataset = await openDataset(root);
    for (const frame of [0, 1, 2]) expect(Buffer.from((await dataset.images(frame, [TOP]))[0]!.data).equals(pixels)).toBe(true);
    await expect(dataset.images(3, [TOP])).rejects.toMatchObject({ code: 'DATASET_FRAME', row: 3 });
    await dataset.close();
  });

  it('names file and row of a damaged one, before it is decoded where its header tells, and counts it', async () => {
    const png = await picture().png().toBuffer();
    const jpeg = await picture().jpeg().toBuffer();
    const bomb = Buffer.from(png);
    bomb.writeUInt32BE(0x7fff_ffff, 16);
    bomb.writeUInt32BE(0x7fff_ffff, 20);
    const flipped = Buffer.from(png);
    flipped[60] = flipped[60]! ^ 0xff;
    const damaged: readonly (readonly [Buffer, string])[] = [
      [png.subarray(0, png.length >> 1), 'no readable picture'],
      [jpeg.subarray(0, jpeg.length - 40), 'no readable picture'],
      [flipped, 'no readable picture'],
      [bomb, 'no readable picture'],
      [Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="16" height="12"/>'), 'neither PNG nor JPEG'],
      [await picture().resize(32, 24).png().toBuffer(), 'it has 24×32 pixels, the dataset says 12×16'],
      [await picture().toColourspace('rgb16').png().toBuffer(), 'not of 8 bits'],
      [await picture().toColourspace('cmyk').jpeg().toBuffer(), 'CMYK'],
    ];
    const cells = [{ bytes: png, path: null }, ...damaged.map(([bytes]) => ({ bytes, path: null }))];
    const dataset = await openDataset(await writeSet(cells));
    for (const [i, [, message]] of damaged.entries()) {
      await expect(dataset.images(i + 1, [TOP])).rejects.toMatchObject({
        code: 'DATASET_FRAME',
        file: expect.stringMatching(/episode_000000\.parquet$/) as string,
        row: i + 1,
        episode: 0,
        message: expect.stringContaining(message) as string,
      });
    }
    const skipped: number[] = [];
    const frames = [...cells.keys(), 0];
    const options = { cameraKeys: [TOP], chunkLength: 2, corruptBudget: damaged.length, onCorrupt: (frame: number) => void skipped.push(frame) };
    const loaded: number[] = [];
    for await (const { frame } of loadSamples(dataset, frames, options)) loaded.push(frame);
    expect([loaded, skipped]).toEqual([[0, 0], damaged.map((_, i) => i + 1)]);
    await dataset.close();
  });

  it('are looked at by validation: damage, black and frozen ones', async () => {
    const codes = async (cells: readonly ImageCell[]): Promise<readonly string[]> => {
      const { findings, checked } = await validateDataset(await writeSet(cells));
      const ofImages = findings.filter(({ code }) => ['DATASET_FRAME', 'BLACK_CAMERA', 'FROZEN_CAMERA'].includes(code));
      return [`${checked.imagesDecoded} decoded`, ...ofImages.map(({ code, row }) => (row === undefined ? code : `${code} in row ${row}`))];
    };
    const shown = await Promise.all([picture(), picture().negate()].map((image) => inRow(image.png())));
    const black = await inRow(picture().linear(0, 0).png());
    expect(await codes(shown)).toEqual(['2 decoded']);
    expect(await codes([shown[0]!, { bytes: Buffer.from('no picture'), path: null }])).toEqual(['1 decoded', 'DATASET_FRAME in row 1']);
    expect(await codes([black, black])).toEqual(['2 decoded', 'BLACK_CAMERA']);
    expect(await codes([shown[0]!, shown[0]!])).toEqual(['2 decoded', 'FROZEN_CAMERA']);
  });

  it('changes its content hash with a picture', async () => {
    const hash = async (cell: ImageCell): Promise<string> => {
      const dataset = await openDataset(await writeSet([cell]));
      await dataset.close();
      return dataset.info.contentHash;
    };
    expect(await hash(await inRow(picture().png()))).toBe(await hash(await inRow(picture().png())));
    expect(await hash(await inRow(picture().png()))).not.toBe(await hash(await inRow(picture().negate().png())));
  });
});

it('reads a column of plain bytes', async () => {
  const root = await writeSet([{ bytes: null, path: null }]);
  const rows = [{ episode: 0, position: 0, index: 0, timestamp: 0, task: 0 }];
  const bytes = new Uint8Array(await picture().png().toBuffer());
  await put(root, 'data/chunk-000/episode_000000.parquet', frameParquet(rows, [{ ...column(TOP, 'BYTE_ARRAY', [bytes]), schema: [{ name: TOP, type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' }] }]));
  const dataset = await openDataset(root);
  expect(Buffer.from((await dataset.images(0, [TOP]))[0]!.data).equals(pixels)).toBe(true);
  await dataset.close();
});
