import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '@zk0/core';
import { createVideoDecoder, type VideoDecoder } from '../src/index.ts';
import { readMp4Summary } from '../src/video/mp4.ts';
import { NodeAvReader } from '../src/video/node-av-reader.ts';
import { CODINGS, encodeNumbered, NUMBERED, numberOf, type Coding } from './encode-video.ts';

const FPS = 30;
const FRAMES = 100;
const tolerance = 0.5 / FPS;
let folder: string;
const file = (name: string): string => path.join(folder, `${name.replaceAll(' ', '-')}.mp4`);
const codings = Object.entries(CODINGS) as [string, Coding][];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-video-'));
  for (const [name, coding] of codings) encodeNumbered(file(name), coding, { frames: FRAMES, fps: FPS });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe.each(codings)('%s', (name) => {
  it('finds every frame by its time, in any order', () => {
    const reader = new NodeAvReader(file(name));
    const order = new Random(name).shuffled(Array.from({ length: FRAMES }, (_, n) => n));
    const found = order.map((n) => reader.frameAt(n / FPS, tolerance));
    expect(found.map(numberOf)).toEqual(order);
    expect(found.map(({ timestamp }) => Math.round(timestamp * FPS))).toEqual(order);
    reader.close();
  });

  it('finds frames forwards, backwards, twice and between two', () => {
    const reader = new NodeAvReader(file(name));
    const numbers = [0, 1, 2, 2, 2, 3, 99, 98, 97, 50, 52, 51, 51, 0, 99];
    expect(numbers.map((n) => numberOf(reader.frameAt(n / FPS, tolerance)))).toEqual(numbers);
    expect([40.4, 40.6, 41.4, 41.49].map((n) => numberOf(reader.frameAt(n / FPS, tolerance)))).toEqual([40, 41, 41, 41]);
    reader.close();
  });

  it('says how far the nearest frame is', () => {
    const reader = new NodeAvReader(file(name));
    expect(() => reader.frameAt(10.3 / FPS, 1e-4)).toThrow('the nearest is at 0.333333 s');
    expect(() => reader.frameAt(60, tolerance)).toThrow('the nearest is at 3.300000 s');
    expect(numberOf(reader.frameAt(7 / FPS + 1e-6, 1e-4))).toBe(7);
    expect(numberOf(reader.frameAt(60, 1e3))).toBe(99);
    reader.close();
  });

  it('has true tables', async () => {
    const summary = await readMp4Summary(file(name));
    expect(summary).toMatchObject({ ...NUMBERED, frameCount: FRAMES });
    expect(summary.codec).toMatch(/^(avc1|hev1|av01|mp4v)$/);
  });
});

describe('the decoder pool', () => {
  it('answers many requests over many files at once, each with its own frame', async () => {
    const decoder = await createVideoDecoder({ backend: 'node-av', threads: 3, maxReaders: 2 });
    const random = new Random('pool');
    const wanted = Array.from({ length: 60 }, () => ({ name: codings[random.below(codings.length)]![0], n: random.below(FRAMES) }));
    const found = await Promise.all(wanted.map(({ name, n }) => decoder.frame({ file: file(name), timestamp: n / FPS, tolerance })));
    expect(found.map(numberOf)).toEqual(wanted.map(({ n }) => n));
    await decoder.close();
  });

  it('fails one request on a damaged file and serves the others', async () => {
    const decoder: VideoDecoder = await createVideoDecoder({ threads: 1 });
    const broken = path.join(folder, 'broken.mp4');
    await writeFile(broken, 'this is no video');
    const good = file('MPEG-4 part 2');
    const [a, b, c] = await Promise.allSettled([
      decoder.frame({ file: good, timestamp: 0, tolerance }),
      decoder.frame({ file: broken, timestamp: 0, tolerance }),
      decoder.frame({ file: good, timestamp: 1, tolerance }),
    ]);
    expect([a.status, c.status]).toEqual(['fulfilled', 'fulfilled']);
    expect(b).toMatchObject({ status: 'rejected', reason: { code: 'DATASET_FRAME', file: broken } });
    await decoder.close();
    await expect(decoder.frame({ file: good, timestamp: 0, tolerance })).rejects.toMatchObject({ code: 'DATASET_CLOSED' });
  });

  it('rejects what waits when it is closed', async () => {
    const decoder = await createVideoDecoder({ threads: 1 });
    const requests = Array.from({ length: 20 }, (_, n) =>
      decoder.frame({ file: file('MPEG-4 part 2'), timestamp: n / FPS, tolerance }).then(
        () => 'served',
        (error: unknown) => (error as { code: string }).code,
      ),
    );
    await decoder.close();
    const outcomes = await Promise.all(requests);
    expect(new Set(outcomes)).toEqual(new Set(['DATASET_CLOSED', ...outcomes.filter((outcome) => outcome === 'served')]));
    expect(outcomes.at(-1)).toBe('DATASET_CLOSED');
  });
});

it('finds a video cut short by its own tables', async () => {
  const cut = path.join(folder, 'cut.mp4');
  encodeNumbered(cut, CODINGS['H.264 with B-frames'], { frames: 20, fps: FPS });
  await truncate(cut, 3000);
  await expect(readMp4Summary(cut)).rejects.toMatchObject({ code: 'DATASET_FILE_DAMAGED', file: cut });
});
