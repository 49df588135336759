import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { standardDeviation, weightedMean } from './statistics.ts';

const finite = fc.double({ noNaN: true, noDefaultInfinity: true });

describe('weightedMean', () => {
  it('is Σ w·x / Σ w', () => {
    expect(weightedMean([1, 2, 4])).toBe(7 / 3);
    expect(weightedMean([2, 1, 2], [1, 2, 1])).toBe(1.5);
    expect(weightedMean([])).toBeNaN();
  });

  it.each([
    [[1e308, 1e308], [1, 1], 1e308],
    [[1e308, -1e308], [1, 1], 0],
    [[Number.MAX_VALUE, Number.MAX_VALUE, Number.MAX_VALUE], [1e12, 1e12, 1e12], Number.MAX_VALUE],
    [[1e308, 0], [1e12, 3e12], 2.5e307],
    [[Number.MAX_VALUE, 0.5], [1, 1e12], Number.MAX_VALUE / (1e12 + 1)],
  ])('of %j by %j is %f', (values, weights, expected) => {
    const mean = weightedMean(values, weights);
    expect(Math.abs(mean - expected)).toBeLessThanOrEqual(Math.abs(expected) * 1e-14);
  });

  it('lies between the least and the greatest value, whatever they are', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(finite, fc.integer({ min: 1, max: 1e12 })), { minLength: 1, maxLength: 20 }), (entries) => {
        const values = entries.map(([value]) => value);
        const mean = weightedMean(values, entries.map(([, weight]) => weight));
        expect(mean).toBeGreaterThanOrEqual(Math.min(...values));
        expect(mean).toBeLessThanOrEqual(Math.max(...values));
      }),
    );
  });
});

describe('standardDeviation', () => {
  it('is the population’s', () => {
    expect(standardDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBe(2);
    expect(standardDeviation([3])).toBe(0);
    expect(standardDeviation([0, 0])).toBe(0);
    expect(standardDeviation([])).toBeNaN();
  });

  it('neither overflows nor vanishes', () => {
    expect(standardDeviation([1e308, -1e308])).toBeCloseTo(1e308, -295);
    expect(standardDeviation([1e308, 0])).toBeCloseTo(5e307, -294);
    expect(standardDeviation([1e-300, 3e-300]) / 1e-300).toBeCloseTo(1, 12);
    expect(standardDeviation([Number.MAX_VALUE, -Number.MAX_VALUE])).toBe(Number.MAX_VALUE);
  });

  it('is finite and not negative for any values, and follows their scale', () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 20 }), (values) => {
        const deviation = standardDeviation(values);
        expect(deviation).toBeGreaterThanOrEqual(0);
        expect(Number.isFinite(deviation)).toBe(true);
      }),
    );
  });
});
