import fc from 'fast-check';
import type { RgbImage, RobotDataset } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { DatasetError } from '../errors.ts';
import { FrameOrder } from './frame-order.ts';
import { loadSamples } from './load-samples.ts';

/** A dataset of numbered frames whose pictures are decoded when the test says so. */
class SlowDataset implements RobotDataset {
  readonly started: number[] = [];
  readonly corrupt: ReadonlySet<number>;

  constructor(corrupt: readonly number[] = []) {
    this.corrupt = new Set(corrupt);
  }

  get info(): never {
    throw new Error('not needed');
  }
  state(frame: number): Float32Array {
    return Float32Array.of(frame);
  }
  actionChunk(frame: number, length: number): { actions: Float32Array; isPad: Uint8Array } {
    return { actions: new Float32Array(length).fill(frame), isPad: new Uint8Array(length) };
  }
  task(frame: number): string {
    return `task of ${frame}`;
  }
  async images(...[frame]: Parameters<RobotDataset['images']>): Promise<readonly RgbImage[]> {
    this.started.push(frame);
    await new Promise((resolve) => setTimeout(resolve, frame % 3));
    if (this.corrupt.has(frame)) throw new DatasetError('DATASET_FRAME', `frame ${frame} is damaged`);
    return [{ height: 1, width: 1, data: Uint8Array.of(frame, 0, 0) }];
  }
  async close(): Promise<void> {
    await Promise.resolve();
  }
}

const options = { cameraKeys: ['top'], chunkLength: 2 };
const collect = async (samples: AsyncIterable<{ frame: number }>): Promise<number[]> => {
  const frames: number[] = [];
  for await (const { frame } of samples) frames.push(frame);
  return frames;
};

describe('loadSamples', () => {
  it('keeps the order and fills in everything', async () => {
    const order = [5, 3, 4, 3];
    const samples = [];
    for await (const sample of loadSamples(new SlowDataset(), order, options)) samples.push(sample);
    expect(samples.map(({ frame }) => frame)).toEqual(order);
    expect(samples[0]).toEqual({
      frame: 5,
      state: Float32Array.of(5),
      chunk: { actions: Float32Array.of(5, 5), isPad: new Uint8Array(2) },
      task: 'task of 5',
      images: [{ height: 1, width: 1, data: Uint8Array.of(5, 0, 0) }],
    });
  });

  it('decodes no further ahead than allowed', async () => {
    const dataset = new SlowDataset();
    const samples = loadSamples(dataset, new Array<number>(100).fill(0).keys(), { ...options, prefetch: 3 });
    await samples.next();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(dataset.started).toEqual([0, 1, 2]);
    await samples.next();
    expect(dataset.started).toEqual([0, 1, 2, 3]);
    await samples.return();
    expect((await samples.next()).done).toBe(true);
  });

  it('skips corrupt frames within the budget, and fails beyond it', async () => {
    const seen: number[] = [];
    const onCorrupt = (frame: number): void => {
      seen.push(frame);
    };
    const frames = [0, 1, 2, 3, 4, 5];
    expect(await collect(loadSamples(new SlowDataset([1, 4]), frames, { ...options, corruptBudget: 2, onCorrupt }))).toEqual([0, 2, 3, 5]);
    expect(seen).toEqual([1, 4]);
    await expect(collect(loadSamples(new SlowDataset([1, 4]), frames, { ...options, corruptBudget: 1 }))).rejects.toMatchObject({
      code: 'DATASET_CORRUPT_BUDGET',
      message: '2 frames could not be decoded, 1 were allowed for; the last: frame 4 is damaged',
    });
  });

  it('uses the memory of images again only when told to', async () => {
    const given: (readonly RgbImage[] | undefined)[] = [];
    class Recording extends SlowDataset {
      override async images(...request: Parameters<RobotDataset['images']>): Promise<readonly RgbImage[]> {
        given.push(request[2]);
        return await super.images(...request);
      }
    }
    const frames = [0, 1, 2, 3];
    await collect(loadSamples(new Recording(), frames, { ...options, prefetch: 2 }));
    expect(given).toEqual([undefined, undefined, undefined, undefined]);
    given.length = 0;
    await collect(loadSamples(new Recording(), frames, { ...options, prefetch: 2, reuseImages: true }));
    expect(given.map((images) => images?.[0]?.data[0])).toEqual([undefined, undefined, 0, 1]);
  });

  it('refuses a budget without end', async () => {
    await expect(collect(loadSamples(new SlowDataset(), [0], { ...options, corruptBudget: Infinity }))).rejects.toThrow(RangeError);
  });

  it('stops at once when cancelled', async () => {
    const stop = new AbortController();
    const samples = loadSamples(new SlowDataset(), [0, 1, 2, 3], { ...options, signal: stop.signal });
    await samples.next();
    stop.abort();
    await expect(samples.next()).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('FrameOrder', () => {
  it('visits every frame once an epoch, can start anywhere, and follows the seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.string(), fc.nat(200), (frameCount, seed, start) => {
        const order = new FrameOrder(frameCount, seed);
        const epoch = (n: number): number[] => Array.from({ length: frameCount }, (_, i) => order.frameAt(n * frameCount + i));
        expect([...epoch(0)].sort((a, b) => a - b)).toEqual([...epoch(1)].sort((a, b) => a - b));
        expect(new Set(epoch(2)).size).toBe(frameCount);
        const steps = Array.from({ length: 70 }, (_, i) => start + i);
        const resumed = new FrameOrder(frameCount, seed);
        expect(steps.map((step) => resumed.frameAt(step))).toEqual(steps.map((step) => order.frameAt(step)));
      }),
    );
    const take = (seed: string): number[] => Array.from({ length: 40 }, (_, i) => new FrameOrder(40, seed).frameAt(i));
    expect(take('a')).not.toEqual(take('b'));
  });
});
