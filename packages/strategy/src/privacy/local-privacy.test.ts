import type { Parameters } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { filled, model, values } from '../../test/arrays.ts';
import { clipAndNoise, localPrivacySpent, privacySpent } from '../index.ts';

const options = { clippingNorm: 1, noiseMultiplier: 0.5, secret: new Uint8Array(32).fill(1), purpose: 'run 1 round 1' };
const size = 300_000;
const zeros = model(new Array<number>(size).fill(0), 0);

const moments = (data: Float32Array): { mean: number; deviation: number } => {
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  return { mean, deviation: Math.sqrt(data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length) };
};

describe('clipAndNoise', () => {
  it('adds noise of z·C to every value', async () => {
    const { mean, deviation } = moments((await clipAndNoise(zeros, zeros, options)).get('0')!.data);
    expect(Math.abs(mean)).toBeLessThan((5 * 0.5) / Math.sqrt(size));
    expect(Math.abs(deviation / 0.5 - 1)).toBeLessThan(5 / Math.sqrt(2 * size));
  });

  it('clips the distance over all tensors before, and takes smaller ones as they are', async () => {
    const global = model([1, 1], [[1], [1]], 1);
    const quiet = { ...options, noiseMultiplier: 1e-9 };
    const moved = model([4, 1], [[1], [5]], 1);
    const clipped = values(await clipAndNoise(moved, global, quiet)).flat();
    for (const [index, expected] of [1.6, 1, 1, 1.8, 1].entries()) expect(clipped[index]).toBeCloseTo(expected, 6);
    const near = model([1.3, 1], [[1], [1.4]], 1);
    const kept = values(await clipAndNoise(near, global, quiet)).flat();
    for (const [index, expected] of [1.3, 1, 1, 1.4, 1].entries()) expect(kept[index]).toBeCloseTo(expected, 6);
  });

  it('hides the clipped update: with the noise of the same secret only that differs', async () => {
    const one = await clipAndNoise(zeros, zeros, options);
    const far = filled(zeros, 100);
    const other = await clipAndNoise(far, zeros, options);
    const shift = 1 / Math.sqrt(size + 1);
    for (const index of [0, 1, 262_143, 262_144, size - 1]) {
      expect(other.get('0')!.data[index]! - one.get('0')!.data[index]!).toBeCloseTo(shift, 6);
    }
  });

  it('is a function of its arguments; another secret, purpose or tensor has other noise', async () => {
    const small = model([0, 0, 0, 0], [0, 0, 0, 0]);
    const draw = async (change: Partial<typeof options>): Promise<number[][]> => values(await clipAndNoise(small, small, { ...options, ...change }));
    const first = await draw({});
    expect(await draw({})).toEqual(first);
    expect(first[0]).not.toEqual(first[1]);
    expect(await draw({ secret: new Uint8Array(32).fill(2) })).not.toEqual(first);
    expect(await draw({ purpose: 'run 1 round 2' })).not.toEqual(first);
  });

  it.each<[string, Parameters, Partial<typeof options>, string]>([
    ['another shape', model([1, 2]), {}, 'of another shape'],
    ['a tensor more', model(0, 0), {}, '2 tensors'],
    ['another name', new Map([['x', { shape: [], data: new Float32Array(1) }]]), {}, 'tensor 0 is not in the update'],
    ['a NaN', model(NaN), {}, 'not finite'],
    ['no noise', model(0), { noiseMultiplier: 0 }, 'noiseMultiplier'],
    ['no clipping', model(0), { clippingNorm: Infinity }, 'clippingNorm'],
    ['a short secret', model(0), { secret: new Uint8Array(8) }, 'at least 32 bytes'],
  ])('refuses %s', async (_what, update, change, message) => {
    await expect(clipAndNoise(update, model(0), { ...options, ...change })).rejects.toThrow(message);
  });
});

describe('localPrivacySpent', () => {
  it('counts two updates that differ by 2C', () => {
    expect(localPrivacySpent({ noiseMultiplier: 4, rounds: 10 }, 1e-5)).toBe(privacySpent([{ noiseMultiplier: 2, samplingRate: 1, rounds: 10 }], 1e-5));
  });
});
