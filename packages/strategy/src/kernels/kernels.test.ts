import { Random } from '@zk0/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { columnStatistic, meanOfNearest, medianCut, type ColumnRule } from './columns.ts';
import { squaredDistance } from './distances.ts';
import { accumulate } from './linear.ts';
import { sortColumns, sortingNetwork } from './sorting-network.ts';

describe('n-closest mean', () => {
  const nearest = (reference: number, values: number[], count: number): number =>
    meanOfNearest(Float64Array.from(values).sort(), reference, count);

  it('vector 10: scalars', () => {
    expect(nearest(1, [1, 2, 0.5], 2)).toBe(0.75);
    expect(nearest(0, [1, -0.5, 10], 1)).toBe(-0.5);
  });

  it('vector 10: coordinates of arrays', () => {
    expect(nearest(1, [1.1, 0.9, 5], 2)).toBeCloseTo(1, 12);
    expect(nearest(2, [2.1, 1.9, 5], 2)).toBeCloseTo(2, 12);
    expect(nearest(0, [0.2, -0.1, 10], 2)).toBeCloseTo(0.05, 12);
    expect(nearest(1, [1.2, 0.8, 10], 2)).toBeCloseTo(1, 12);
  });

  it('vector 10: more than there are is an error', () => {
    expect(() => nearest(0, [1, 2], 3)).toThrow('cannot take the 3 nearest of 2 values');
  });

  it('agrees with sorting by distance', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 9 }),
        fc.integer({ min: -60, max: 60 }),
        fc.nat(),
        (values, reference, pick) => {
          const count = 1 + (pick % values.length);
          const byDistance = [...values].sort((a, b) => Math.abs(a - reference) - Math.abs(b - reference) || a - b);
          const expected = byDistance.slice(0, count).reduce((sum, value) => sum + value, 0) / count;
          expect(nearest(reference, values, count)).toBeCloseTo(expected, 9);
        },
      ),
    );
  });
});

describe('squared distances', () => {
  it('pitfall: weights of 1e6 that differ by thousandths do not cancel', () => {
    const vectors = [0, 1e-3, 2e-3, 5e-3].map((offset) => new Float64Array(4).fill(1e6 + offset));
    expect(vectors.map((vector) => squaredDistance(vectors[0]!, vector, 4))).toEqual([
      0, 4.0000003799796195e-6, 1.5999999657273294e-5, 1.0000000018626452e-4,
    ]);
  });

  it('vector 8: noise of 1e-4 on N(0, 10), to 1e-4 relative', () => {
    const random = new Random('distances');
    const base = Float32Array.from({ length: 1000 }, () => 10 * random.normal());
    const vectors = Array.from({ length: 4 }, () => base.map((value) => value + 1e-4 * random.normal()));
    for (const a of vectors) {
      for (const b of vectors) {
        let exact = 0;
        for (let index = 0; index < a.length; index++) exact += (a[index]! - b[index]!) ** 2;
        expect(Math.abs(squaredDistance(a, b, 1000) - exact)).toBeLessThanOrEqual(1e-4 * exact);
      }
    }
  });

  it('counts every element, whatever the length', () => {
    for (let length = 0; length < 10; length++) {
      expect(squaredDistance(new Float32Array(length).fill(3), new Float32Array(length).fill(1), length)).toBe(4 * length);
    }
  });
});

describe('sorting networks', () => {
  const float = fc.float({ noNaN: true });
  const columns = fc
    .integer({ min: 1, max: 20 })
    .chain((count) => fc.array(fc.array(float, { minLength: 3, maxLength: 3 }), { minLength: count, maxLength: count }));
  const transpose = (arrays: readonly Float32Array[]): number[][] =>
    [0, 1, 2].map((index) => arrays.map((array) => array[index]!));

  it('sort columns of floats, infinities and denormals too', () => {
    fc.assert(
      fc.property(columns, (rows) => {
        const arrays = rows.map((row) => Float32Array.from(row));
        const expected = transpose(arrays).map((column) => [...Float32Array.from(column).sort()]);
        sortColumns(arrays, sortingNetwork(arrays.length, { from: 0, to: arrays.length, ordered: true }));
        expect(transpose(arrays)).toEqual(expected);
      }),
    );
  });

  it('give the right set of middle values when only their sum is wanted', () => {
    fc.assert(
      fc.property(columns, fc.nat(), (rows, pick) => {
        const arrays = rows.map((row) => Float32Array.from(row));
        const cut = pick % (medianCut(arrays.length) + 1);
        const wanted = { from: cut, to: arrays.length - cut, ordered: false };
        const expected = transpose(arrays).map((column) => [...Float32Array.from(column).sort()].slice(cut, arrays.length - cut));
        sortColumns(arrays, sortingNetwork(arrays.length, wanted));
        const kept = transpose(arrays).map((column) => [...Float32Array.from(column.slice(cut, arrays.length - cut)).sort()]);
        expect(kept).toEqual(expected);
      }),
    );
  });

  it('leave out what nobody looks at', () => {
    const full = sortingNetwork(32, { from: 0, to: 32, ordered: true }).length;
    expect(full).toBe(191);
    expect(sortingNetwork(32, { from: 6, to: 26, ordered: false }).length).toBeLessThan(full);
    expect(sortingNetwork(32, { from: 0, to: 32, ordered: false })).toHaveLength(0);
  });
});

describe('column statistics', () => {
  it('agree with sorting each column', () => {
    const random = new Random('columns');
    for (const count of [1, 2, 3, 4, 5, 8, 13, 32]) {
      const arrays = Array.from({ length: count }, () => random.fillNormal(new Float32Array(50)));
      const sorted = Array.from({ length: 50 }, (_, index) => Float64Array.from(arrays, (array) => array[index]!).sort());
      for (let cut = 0; cut <= medianCut(count); cut++) {
        const rule: ColumnRule = { kind: 'trimmed', cut };
        const into = new Float64Array(50);
        columnStatistic(rule, arrays.map((array) => array.slice()), into, 50);
        for (const [index, column] of sorted.entries()) {
          const kept = column.subarray(cut, count - cut);
          expect(into[index]).toBeCloseTo(kept.reduce((sum, value) => sum + value, 0) / kept.length, 12);
        }
      }
    }
  });
});

describe('accumulate', () => {
  it('adds every array once, however many there are', () => {
    for (let count = 0; count < 11; count++) {
      const arrays = Array.from({ length: count }, (_, index) => Float32Array.of(2 ** index, 1));
      const into = new Float64Array(2);
      accumulate(into, arrays, arrays.map((_, index) => index + 1), 2);
      expect(into[0]).toBe(arrays.reduce((sum, _, index) => sum + (index + 1) * 2 ** index, 0));
      expect(into[1]).toBe((count * (count + 1)) / 2);
    }
  });
});
