import { createHash } from 'node:crypto';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '@zk0/core';
import { chooseBackend, createVideoDecoder, type VideoBackend, type VideoDecoder, type VideoFrame, type VideoOptions } from '../src/index.ts';
import type { FrameReader } from '../src/video/decoder.ts';
import { describeFfmpeg, findFfmpeg } from '../src/video/ffmpeg-command.ts';
import { FfmpegReader } from '../src/video/ffmpeg-reader.ts';
import { readMp4Summary } from '../src/video/mp4.ts';
import { NodeAvReader } from '../src/video/node-av-reader.ts';
import { WasmReader } from '../src/video/wasm-reader.ts';
import { CODINGS, encodeNumbered, NUMBERED, numberOf, type Coding } from './encode-video.ts';

const FPS = 30;
const FRAMES = 100;
const tolerance = 0.5 / FPS;
let folder: string;
const file = (name: string): string => path.join(folder, `${name.replaceAll(' ', '-')}.mp4`);
const codings = Object.entries(CODINGS) as [string, Coding][];
const command = await findFfmpeg();
const ffmpeg = command === null ? null : await describeFfmpeg(command);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-video-'));
  for (const [name, coding] of codings) encodeNumbered(file(name), coding, { frames: FRAMES, fps: FPS });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Case {
  readonly backend: VideoBackend;
  readonly coding: string;
  readonly open: (path: string) => Promise<FrameReader>;
}

const inProcess: readonly Case[] = [
  ...codings.map(([coding]): Case => ({ backend: 'node-av', coding, open: (path) => Promise.resolve(new NodeAvReader(path)) })),
  { backend: 'wasm', coding: 'AV1 as LeRobot codes it', open: (path) => WasmReader.open(path) },
];
const byCommand = codings.map(([coding]): Case => ({ backend: 'ffmpeg', coding, open: (path) => FfmpegReader.open(ffmpeg!, path) }));

describe.each(inProcess)('$backend: $coding', randomAccess);

it.each(codings.map(([name]) => name))('tells the frame rate and number from the tables: %s', async (name) => {
  expect(await readMp4Summary(file(name))).toMatchObject({ frameCount: FRAMES, fps: FPS });
});
describe.skipIf(ffmpeg === null).each(byCommand)('$backend (skipped without the command on the PATH): $coding', randomAccess);

function randomAccess({ backend, coding, open }: Case): void {
  it('finds every frame by its time, in any order', async () => {
    const reader = await open(file(coding));
    // A jump costs the command a process; the others seek.
    const count = backend === 'ffmpeg' ? 6 : FRAMES;
    const order = new Random(coding).shuffled(Array.from({ length: FRAMES }, (_, n) => n)).slice(0, count);
    for (const n of order) {
      const frame = await reader.frameAt(n / FPS, tolerance);
      expect([numberOf(frame), Math.round(frame.timestamp * FPS)]).toEqual([n, n]);
    }
    reader.close();
  });

  it('finds frames forwards, backwards, twice and between two', async () => {
    const reader = await open(file(coding));
    const numbers = [0, 1, 2, 2, 2, 3, 99, 98, 97, 50, 52, 51, 51, 0, 99];
    for (const n of numbers) expect(numberOf(await reader.frameAt(n / FPS, tolerance))).toBe(n);
    for (const [at, n] of [[40.4, 40], [40.6, 41], [41.4, 41], [41.49, 41]] as const) {
      expect(numberOf(await reader.frameAt(at / FPS, tolerance))).toBe(n);
    }
    reader.close();
  });

  it('says how far the nearest frame is', async () => {
    const reader = await open(file(coding));
    const at = async (timestamp: number, near: number): Promise<VideoFrame> => await reader.frameAt(timestamp, near);
    await expect(at(10.3 / FPS, 1e-4)).rejects.toThrow('the nearest is at 0.333333 s');
    await expect(at(60, tolerance)).rejects.toThrow('the nearest is at 3.300000 s');
    expect(numberOf(await at(7 / FPS + 1e-6, 1e-4))).toBe(7);
    expect(numberOf(await at(60, 1e3))).toBe(99);
    reader.close();
  });

  it('puts frames into memory that fits, and leaves other memory alone', async () => {
    const reader = await open(file(coding));
    const memory = new ArrayBuffer(NUMBERED.width * NUMBERED.height * 3);
    expect((await reader.frameAt(1, tolerance, memory)).data.buffer).toBe(memory);
    const small = new ArrayBuffer(7);
    expect((await reader.frameAt(1, tolerance, small)).data.buffer).not.toBe(small);
    reader.close();
  });
}

describe('all back ends give the same bytes', () => {
  // Of MPEG-4 part 2 in an odd number of 16-pixel blocks, FFmpeg 8 gives up to 2 levels other than 5 and 7 do.
  const size = { width: 128, height: 64 };
  const request = (name: string, n: number): { file: string; timestamp: number; tolerance: number } => ({ file: file(name), timestamp: n / FPS, tolerance });
  const names = [...codings.map(([name]) => name), 'AV1 of full range', 'AV1 that claims BT.709'];

  beforeAll(() => {
    const av1 = CODINGS['AV1 as LeRobot codes it'];
    for (const [name, coding] of codings) encodeNumbered(file(`noisy ${name}`), coding, { frames: 12, fps: FPS, ...size, noise: 40 });
    encodeNumbered(file('noisy AV1 of full range'), av1, { frames: 12, fps: FPS, ...size, noise: 40, color: 'full range' });
    encodeNumbered(file('noisy AV1 that claims BT.709'), av1, { frames: 12, fps: FPS, ...size, noise: 40, color: 'BT.709' });
  });

  it.each(names)('%s', async (name) => {
    const isAv1 = name.startsWith('AV1');
    const backends: VideoBackend[] = ['node-av', ...(ffmpeg === null ? [] : ['ffmpeg' as const]), ...(isAv1 ? ['wasm' as const] : [])];
    const hashes = await Promise.all(
      backends.map(async (backend) => {
        const decoder = await createVideoDecoder({ backend, threads: 1 });
        const frames = await Promise.all([7, 8, 9, 11].map((n) => decoder.frame(request(`noisy ${name}`, n))));
        await decoder.close();
        return frames.map(({ data }) => createHash('sha256').update(data).digest('hex'));
      }),
    );
    expect(new Set(hashes.flat()).size).toBe(4);
    for (const hash of hashes) expect(hash).toEqual(hashes[0]);
  });
});

it.each(codings)('%s has true tables', async (name) => {
  const summary = await readMp4Summary(file(name));
  expect(summary).toMatchObject({ ...NUMBERED, frameCount: FRAMES });
  expect(summary.codec).toMatch(/^(avc1|hev1|av01|mp4v)$/);
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

describe('choosing a back end', () => {
  const codes = (codecs: readonly string[], options: VideoOptions = {}): Promise<string> => chooseBackend(codecs, options).then(({ backend }) => backend);
  const withEnvironment = async (change: Readonly<Record<string, string>>, run: () => Promise<void>): Promise<void> => {
    const before = { ...process.env };
    Object.assign(process.env, change);
    try {
      await run();
    } finally {
      process.env = before;
    }
  };

  it('takes node-av where it is, and what is asked for otherwise', async () => {
    expect(await codes(['avc1', 'mp4v'])).toBe('node-av');
    expect(await codes(['av01'], { backend: 'wasm' })).toBe('wasm');
    await withEnvironment({ ZK0_VIDEO_BACKEND: 'wasm' }, async () => {
      expect(await chooseBackend(['av01'])).toMatchObject({ backend: 'wasm', why: 'chosen by ZK0_VIDEO_BACKEND' });
    });
  });

  it('refuses what cannot decode a codec, saying what to install', async () => {
    await expect(codes(['av01', 'avc1'], { backend: 'wasm' })).rejects.toMatchObject({
      code: 'DATASET_NO_DECODER',
      message: 'Video coded as av01, avc1 cannot be decoded here: wasm does not decode avc1',
    });
    await withEnvironment({ PATH: '' }, async () => {
      await expect(codes(['avc1'], { backend: 'ffmpeg' })).rejects.toMatchObject({
        message: 'Video coded as avc1 cannot be decoded here: ffmpeg is not on the PATH',
        hint: 'Install ffmpeg, or let the program choose: leave the option `backend` out.',
      });
    });
    await withEnvironment({ ZK0_VIDEO_BACKEND: 'vlc' }, async () => {
      await expect(codes(['avc1'])).rejects.toMatchObject({ code: 'DATASET_NO_DECODER' });
    });
  });
});
