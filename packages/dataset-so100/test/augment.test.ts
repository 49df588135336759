import { readFileSync } from 'node:fs';
import path from 'node:path';
import { augmentSchema, Random, runConfigSchema, type AugmentConfig, type RgbImage, type RobotDataset } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { augmentedDataset } from '../src/index.ts';
import { drawTransforms } from '../src/augment/draw-transforms.ts';
import { applyTransform, transformImage, type DrawnTransform } from '../src/augment/image-transforms.ts';
import { recordArm } from './recorded-arm.ts';

interface Golden {
  readonly torchvision: string;
  readonly width: number;
  readonly height: number;
  readonly data: readonly number[];
  readonly cases: readonly { readonly transform: DrawnTransform; readonly values: readonly number[] }[];
}

const golden = JSON.parse(readFileSync(path.join(import.meta.dirname, 'golden/image-transforms.json'), 'utf8')) as Golden;
const image: RgbImage = { width: golden.width, height: golden.height, data: Uint8Array.from(golden.data) };

describe(`image transforms, as torchvision ${golden.torchvision} computes them`, () => {
  it.each(golden.cases.map(({ transform, values }) => [JSON.stringify(transform), transform, values] as const))('%s', (_, transform, values) => {
    const { data } = applyTransform({ ...image, data: Float32Array.from(image.data, (byte) => byte / 255) }, transform);
    const worst = Math.max(...Array.from(data, (value, i) => Math.abs(value - values[i]!)));
    expect(worst).toBeLessThan(3e-6);
    // Whole levels, as images are stored: half a level at most.
    expect([...transformImage(image, [transform]).data].every((byte, i) => Math.abs(byte - 255 * values[i]!) <= 0.501)).toBe(true);
  });

  it('leave an image as it is where the factor says so', () => {
    for (const name of ['brightness', 'contrast', 'saturation', 'sharpness'] as const) expect(transformImage(image, [{ name, factor: 1 }])).toEqual(image);
    expect(transformImage(image, [{ name: 'hue', factor: 0 }, { name: 'affine', degrees: 0, translate: [0, 0] }])).toEqual(image);
  });
});

const config = (more: Readonly<Record<string, unknown>> = {}): AugmentConfig => augmentSchema.parse({ variants: 3, ...more });
const SIZE = { width: 200, height: 100 };

describe('what is drawn', () => {
  const many = (settings: AugmentConfig): readonly (readonly DrawnTransform[])[] => {
    const random = new Random('draw');
    return Array.from({ length: 2000 }, () => drawTransforms(settings, SIZE, random));
  };

  it('is three different ones of LeRobot’s six, each half of the time, in their order, within their ranges', () => {
    const drawn = many(config());
    const order = ['brightness', 'contrast', 'saturation', 'hue', 'sharpness', 'affine'];
    const ranges: Readonly<Record<string, readonly [number, number]>> = { brightness: [0.8, 1.2], contrast: [0.8, 1.2], saturation: [0.5, 1.5], hue: [-0.05, 0.05], sharpness: [0.5, 1.5] };
    for (const name of order) expect(drawn.filter((one) => one.some((transform) => transform.name === name)).length / 2000).toBeCloseTo(0.5, 1);
    for (const one of drawn) {
      const places = one.map(({ name }) => order.indexOf(name));
      expect(places).toEqual([...new Set(places)].sort((a, b) => a - b));
      expect(places).toHaveLength(3);
      for (const transform of one) {
        if (transform.name === 'affine') {
          expect(Math.abs(transform.degrees)).toBeLessThanOrEqual(5);
          expect(Math.abs(transform.translate[0])).toBeLessThanOrEqual(10);
          expect(Math.abs(transform.translate[1])).toBeLessThanOrEqual(5);
        } else {
          const [low, high] = ranges[transform.name]!;
          expect(transform.factor).toBeGreaterThanOrEqual(low);
          expect(transform.factor).toBeLessThanOrEqual(high);
        }
      }
    }
    const shifts = new Set(drawn.flat().flatMap((transform) => (transform.name === 'affine' ? [transform.translate[0]] : [])));
    expect(shifts.size).toBe(21);
  });

  it('goes by weights and in random order where that is asked for', () => {
    const only = many(config({ maxTransforms: 1, transforms: { hue: { weight: 3 }, affine: { weight: 0 }, brightness: { weight: 0 }, contrast: { weight: 0 }, saturation: { weight: 0 } } }));
    expect(only.filter(([one]) => one!.name === 'hue').length / 2000).toBeCloseTo(0.75, 1);
    expect(new Set(only.flat().map(({ name }) => name))).toEqual(new Set(['hue', 'sharpness']));
    const first = many(config({ maxTransforms: 6, randomOrder: true })).map(([one]) => one!.name);
    expect(new Set(first).size).toBe(6);
  });
});

describe('a dataset with variants', () => {
  const dataset = (): RobotDataset & { decoded: number } => {
    const recorded = recordArm({ units: 'degrees', seed: 1, frames: 30 }).dataset;
    const counting = {
      ...recorded,
      decoded: 0,
      images: (frame: number, keys: readonly string[]): Promise<readonly RgbImage[]> => {
        counting.decoded++;
        return Promise.resolve(keys.map(() => ({ ...image, data: image.data.map((byte) => byte ^ frame) })));
      },
    };
    return counting;
  };
  const KEYS = ['observation.images.top', 'observation.images.wrist'];

  it('has each frame as recorded, and its variants behind it, with the same state, actions and task', async () => {
    const recorded = dataset();
    const varied = augmentedDataset(recorded, config(), 'seed');
    expect(varied.info.frameCount).toBe(4 * recorded.info.frameCount);
    expect(varied.info.episodes[1]).toEqual({ episodeIndex: 1, from: 40, to: 80 });
    const frame = 7;
    const [own] = await recorded.images(frame, KEYS);
    recorded.decoded = 0;
    const images = await Promise.all([0, 1, 2, 3].map((variant) => varied.images(4 * frame + variant, KEYS)));
    expect(images[0]![0]).toEqual(own);
    // Every variant, and every camera, has changes of its own.
    expect(new Set(images.flat().map(({ data }) => Buffer.from(data).toString('hex'))).size).toBe(1 + 3 * 2);
    expect(recorded.decoded).toBe(1);
    for (const variant of [0, 1, 2, 3]) {
      expect(varied.state(4 * frame + variant)).toEqual(recorded.state(frame));
      expect(varied.actionChunk(4 * frame + variant, 5)).toEqual(recorded.actionChunk(frame, 5));
      expect(varied.task(4 * frame + variant)).toBe(recorded.task(frame));
    }
  });

  it('gives the same bytes each time, in any order, and others for another seed', async () => {
    const bytes = async (seed: string, order: readonly number[]): Promise<string[]> => {
      const varied = augmentedDataset(dataset(), config(), seed);
      const all: string[] = [];
      for (const frame of order) all[frame] = (await varied.images(frame, KEYS)).map(({ data }) => Buffer.from(data).toString('base64')).join();
      return all;
    };
    const up = Array.from({ length: 120 }, (_, frame) => frame);
    const first = await bytes('a', up);
    expect(await bytes('a', up.toReversed())).toEqual(first);
    const other = await bytes('b', up);
    expect(up.filter((frame) => other[frame] === first[frame]).every((frame) => frame % 4 === 0)).toBe(true);
  });

  it('has a content hash, the key of caches, that knows its settings and its seed', () => {
    const hash = (settings: AugmentConfig, seed: string): string => augmentedDataset(dataset(), settings, seed).info.contentHash;
    const hashes = [hash(config(), 'a'), hash(config(), 'b'), hash(config({ variants: 4 }), 'a'), hash(config({ transforms: { hue: { weight: 2 } } }), 'a'), dataset().info.contentHash];
    expect(new Set(hashes).size).toBe(5);
    expect(hash(config(), 'a')).toBe(hashes[0]);
  });
});

describe('settings', () => {
  it('are off, a number, or everything', () => {
    expect(runConfigSchema.parse({}).augment).toBeUndefined();
    expect(runConfigSchema.parse({ augment: 4 }).augment).toEqual(config({ variants: 4 }));
    expect(config({ transforms: { affine: { degrees: [-2, 2] } } }).transforms.affine).toEqual({ weight: 1, degrees: [-2, 2], translate: [0.05, 0.05] });
  });

  it.each([
    [0], [65], [1.5], ['x'], [{ variants: 2, unknown: 1 }], [{}],
    [{ variants: 2, maxTransforms: 7 }],
    [{ variants: 2, transforms: { blur: {} } }],
    [{ variants: 2, transforms: { hue: { range: [-0.6, 0.1] } } }],
    [{ variants: 2, transforms: { contrast: { range: [1.2, 0.8] } } }],
    [{ variants: 2, transforms: Object.fromEntries(['brightness', 'contrast', 'saturation', 'hue', 'sharpness', 'affine'].map((name) => [name, { weight: 0 }])) }],
  ])('are refused: %j', (augment) => {
    expect(runConfigSchema.safeParse({ augment }).success).toBe(false);
  });
});
