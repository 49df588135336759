import { describe, expect, it } from 'vitest';
import { cosineScale, drawFlowNoise, planBatches, planEvaluation } from './sampling.ts';

const readable = (): boolean => true;

describe('the times of flow matching', () => {
  const { time, noise } = drawFlowNoise('times', 20_000, 2);

  it('are drawn from Beta(1.5, 1), most of them late', () => {
    const mean = time.reduce((sum, value) => sum + value, 0) / time.length;
    // 0.6 · 0.999 + 0.001; Beta(1, 1.5) has a mean of 0.4, and the spread of a mean of so many is 0.002.
    expect(mean).toBeCloseTo(0.6004, 2);
    const variance = time.reduce((sum, value) => sum + (value - mean) ** 2, 0) / time.length;
    expect(variance).toBeCloseTo(0.0686 * 0.999 ** 2, 2);
    // The share below a half is 0.5^1.5 of this distribution, and 1 − 0.5^1.5 of the other.
    expect(time.filter((value) => value < 0.5005).length / time.length).toBeCloseTo(0.5 ** 1.5, 2);
    expect(Math.min(...time)).toBeGreaterThanOrEqual(0.001);
    expect(Math.max(...time)).toBeLessThanOrEqual(1);
  });

  it('come with noise that is standard normal', () => {
    const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length;
    expect(mean).toBeCloseTo(0, 1);
    expect(noise.reduce((sum, value) => sum + (value - mean) ** 2, 0) / noise.length).toBeCloseTo(1, 1);
  });
});

describe('the order of frames', () => {
  it('is a fresh permutation in every epoch', () => {
    const { batches } = planBatches(40, 12, 10, 'order', readable);
    const epochs = [0, 1, 2].map((epoch) => batches.slice(epoch * 4, epoch * 4 + 4).flat());
    for (const epoch of epochs) expect([...epoch].sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, frame) => frame));
    expect(epochs[1]).not.toEqual(epochs[0]);
    expect(epochs[2]).not.toEqual(epochs[0]);
    expect(epochs[2]).not.toEqual(epochs[1]);
  });

  it('goes on over the end of an epoch inside a batch, and is the same for the same seed', () => {
    const { batches } = planBatches(7, 3, 5, 'order', readable);
    expect(new Set(batches.flat().slice(0, 7)).size).toBe(7);
    expect(new Set(batches.flat().slice(7, 14)).size).toBe(7);
    expect(planBatches(7, 3, 5, 'order', readable).batches).toEqual(batches);
    expect(planBatches(7, 3, 5, 'other', readable).batches).not.toEqual(batches);
  });

  it('of an evaluation is every frame once, the last batch as short as it is', () => {
    expect(planEvaluation(10, 0, 4, 'seed', readable).batches).toEqual([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]);
    const { batches } = planEvaluation(10, 2, 4, 'seed', readable);
    expect(new Set(batches.flat()).size).toBe(8);
  });
});

describe('the learning rate of a round', () => {
  it('is at its peak at the first step, at a tenth at the last, and follows a cosine between', () => {
    expect([0, 1, 2, 3, 4].map((step) => cosineScale(step, 5))).toEqual([
      1,
      expect.closeTo(0.1 + 0.45 * (1 + Math.SQRT1_2), 12),
      expect.closeTo(0.55, 12),
      expect.closeTo(0.1 + 0.45 * (1 - Math.SQRT1_2), 12),
      expect.closeTo(0.1, 12),
    ]);
    expect(cosineScale(0, 1)).toBe(1);
  });
});
