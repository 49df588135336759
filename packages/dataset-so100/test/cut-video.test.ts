import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createVideoDecoder, type VideoDecoder } from '../src/index.ts';
import { cutVideo } from '../src/edit/cut-video.ts';
import { planCut, type PacketTimes } from '../src/edit/plan-cut.ts';
import { readMp4Summary } from '../src/video/mp4.ts';
import { CODINGS, encodeNumbered, numberOf } from './encode-video.ts';
import { fakeMp4, put } from './fixtures.ts';

const FPS = 10;
const FRAMES = 40;
let folder: string;
let decoder: VideoDecoder;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'zk0-cut-'));
  decoder = await createVideoDecoder({ threads: 1 }, ['avc1', 'hvc1', 'av01', 'mp4v']);
});
afterAll(async () => {
  await decoder.close();
  await rm(folder, { recursive: true, force: true });
});

async function numbersIn(file: string, frames: number): Promise<number[]> {
  const numbers: number[] = [];
  for (let frame = 0; frame < frames; frame++) numbers.push(numberOf(await decoder.frame({ file, timestamp: frame / FPS, tolerance: 0.01 })));
  return numbers;
}

describe('a part that is cut out of a video', () => {
  it.each(Object.entries(CODINGS))('shows the frames asked for, at their distances: %s', async (name, coding) => {
    const source = path.join(folder, `${name}.mp4`);
    encodeNumbered(source, coding, { frames: FRAMES, fps: FPS });
    for (const [i, [first, end]] of ([[0, 7], [13, 14], [9, 30], [16, 40]] as const).entries()) {
      const target = path.join(folder, `${name}-${i}.mp4`);
      const { lead, frames } = await cutVideo(source, target, FRAMES, first, end);
      expect(lead).toBeLessThan(coding.gop + 1);
      expect(frames - lead).toBeGreaterThanOrEqual(end - first);
      expect(frames - lead - (end - first)).toBeLessThanOrEqual(coding.gop + coding.bFrames);
      expect(await numbersIn(target, frames)).toEqual(Array.from({ length: frames }, (_, k) => first - lead + k));
      const { fps, startsLate, frameCount } = await readMp4Summary(target);
      expect([frameCount, startsLate]).toEqual([frames, false]);
      expect(fps).toBeCloseTo(FPS, 6);
    }
  }, 240_000);

  it('holds nothing else where episodes begin with key frames, as LeRobot writes them', async () => {
    const source = path.join(folder, 'even.mp4');
    encodeNumbered(source, CODINGS['H.264 as LeRobot codes it'], { frames: FRAMES, fps: FPS });
    expect(await cutVideo(source, path.join(folder, 'even-part.mp4'), FRAMES, 8, 20)).toEqual({ lead: 0, frames: 12 });
  });

  it('begins at its own time 0 also where the stream begins late, or is in fragments', async () => {
    const source = path.join(folder, 'fragments.mp4');
    encodeNumbered(source, CODINGS['H.264 with B-frames'], { frames: FRAMES, fps: FPS, isFragmented: true });
    const target = path.join(folder, 'fragments-part.mp4');
    const { lead, frames } = await cutVideo(source, target, FRAMES, 15, 30);
    expect(await numbersIn(target, frames)).toEqual(Array.from({ length: frames }, (_, k) => 15 - lead + k));
  });

  it('is refused where FFmpeg and the tables differ, or nothing can be read', async () => {
    const source = path.join(folder, 'even.mp4');
    await expect(cutVideo(source, path.join(folder, 'no.mp4'), FRAMES - 1, 8, 20)).rejects.toMatchObject({ code: 'DATASET_VIDEO_CUT' });
    await put(folder, 'fake.mp4', fakeMp4({ frames: 12, width: 16, height: 8 }));
    await expect(cutVideo(path.join(folder, 'fake.mp4'), path.join(folder, 'no.mp4'), 12, 4, 8)).rejects.toMatchObject({
      code: 'DATASET_VIDEO_CUT',
      hint: expect.stringContaining('--whole-videos') as string,
    });
  });
});

describe('planCut', () => {
  const packets = (...list: readonly [pts: number, isKey: boolean][]): PacketTimes[] =>
    list.map(([pts, isKey], i) => ({ pts, dts: i - 2, isKey, isShown: true }));

  it('leaves out leading pictures of an open group, and lets the key frame take their time', () => {
    const open = packets([0, true], [2, false], [1, false], [5, true], [4, false], [3, false], [6, false], [7, false]);
    const plan = planCut(open, 5, 7)!;
    expect([...plan.dtsOf.keys()]).toEqual([3, 6]);
    expect(plan.dtsOf.get(3)).toBe(3);
    expect(plan).toMatchObject({ begin: 5, last: 7, lead: 0, frames: 2 });
    expect(planCut(open, 3, 5)).toMatchObject({ begin: 0, lead: 3, frames: 6 });
  });

  it('finds no part where there is no key frame before it, or nothing is asked for', () => {
    expect(planCut(packets([0, false], [1, true]), 0, 1)).toBeNull();
    expect(planCut(packets([0, true], [1, true]), 1, 1)).toBeNull();
    expect(planCut(packets([0, true], [1, true]), 1, 3)).toBeNull();
  });
});
