import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeMoments, momentsOf, normalizerFrom, safeStd } from './moments.ts';

const rows = fc.array(fc.tuple(fc.float({ min: -1e4, max: 1e4, noNaN: true }), fc.float({ min: 5, max: 6, noNaN: true })), {
  minLength: 1,
  maxLength: 60,
});

describe('momentsOf', () => {
  it('is exact far from zero, where a single pass loses everything', () => {
    const { mean, m2 } = momentsOf([1e9 + 1, 1e9 + 2, 1e9 + 3], 1);
    expect(mean).toEqual([1e9 + 2]);
    expect(m2).toEqual([2]);
  });

  it('counts rows, not values', () => {
    expect(momentsOf([1, 10, 3, 20], 2)).toEqual({ count: 2, mean: [2, 15], m2: [2, 50], min: [1, 10], max: [3, 20] });
  });
});

describe('mergeMoments', () => {
  it('gives what the rows together give, however they are cut', () => {
    fc.assert(
      fc.property(rows, fc.nat(), (all, where) => {
        const cut = where % (all.length + 1);
        const whole = momentsOf(all.flat(), 2);
        const merged = mergeMoments([momentsOf(all.slice(0, cut).flat(), 2), momentsOf(all.slice(cut).flat(), 2)]);
        expect(merged.count).toBe(whole.count);
        expect(merged.min).toEqual(whole.min);
        expect(merged.max).toEqual(whole.max);
        for (const i of [0, 1]) {
          expect(merged.mean[i]).toBeCloseTo(whole.mean[i]!, 6);
          expect(Math.abs(merged.m2[i]! - whole.m2[i]!)).toBeLessThanOrEqual(1e-9 * (1 + whole.m2[i]!) + 1e-6);
        }
      }),
    );
  });

  it('refuses nothing, other sizes and values that are not finite', () => {
    const good = momentsOf([1, 2], 1);
    expect(() => mergeMoments([])).toThrow('no rows');
    expect(() => mergeMoments([good, momentsOf([1, 2], 2)])).toThrow('cannot be merged');
    expect(() => mergeMoments([good, { ...good, m2: [Infinity] }])).toThrow('not finite');
    expect(() => mergeMoments([good, { ...good, m2: [-1] }])).toThrow('negative spread');
    expect(() => mergeMoments([{ ...good, count: 1.5 }])).toThrow();
  });
});

describe('normalizerFrom', () => {
  it('gives a feature that never moves the spread 1', () => {
    expect(safeStd(momentsOf([7, 1, 7, 3], 2))).toEqual([1, 1]);
    expect(safeStd(momentsOf([1e6, 1e6 + 1e-4], 1))).toEqual([1]);
    expect(safeStd(momentsOf([0, 0], 1))).toEqual([1]);
    expect(safeStd(momentsOf([0, 1e-5], 1))).toEqual([0.5e-5]);
  });

  it('uses the population standard deviation', () => {
    const state = momentsOf([0, 4], 1);
    expect(normalizerFrom({ state, action: momentsOf([1, 1], 1) })).toEqual({
      state: { mean: [2], std: [2] },
      action: { mean: [1], std: [1] },
    });
  });
});
