import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { QUANTILES, type QuantileName } from './quantiles.ts';
import { RunningStatistics } from './running-statistics.ts';

/** What the real LeRobot computes: see `test/golden/make_statistics.py`. */
const golden = JSON.parse(readFileSync(path.join(import.meta.dirname, '../../test/golden/statistics.json'), 'utf8')) as {
  readonly running: { readonly batches: number[][][]; readonly statistics: Record<QuantileName | 'min' | 'max' | 'mean' | 'std' | 'count', number[]> };
};

const running = (batches: readonly (readonly number[])[], size = 1): RunningStatistics => {
  const statistics = new RunningStatistics(size);
  for (const batch of batches) statistics.update(batch);
  return statistics;
};

describe('RunningStatistics', () => {
  it('tells what LeRobot tells of rows that come in parts, each with a wider range', () => {
    const { batches, statistics: theirs } = golden.running;
    const { moments, quantiles } = running(batches.map((batch) => batch.flat()), 2).statistics();
    expect(moments.count).toBe(theirs.count[0]);
    const std = moments.m2.map((m2) => Math.sqrt(m2 / moments.count));
    const ours = { min: moments.min, max: moments.max, mean: moments.mean, std, ...quantiles };
    for (const [name, values] of Object.entries(ours)) {
      values.forEach((value, i) => {
        expect(value, `${name}[${i}]`).toBeCloseTo(theirs[name as keyof typeof theirs][i]!, 9);
      });
    }
  });

  const part = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 40 });

  it('is within two bins of the true quantile, in parts and merged', () => {
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), fc.nat(), (parts, cut) => {
        const merged = running(parts.slice(0, cut % parts.length));
        merged.merge(running(parts.slice(cut % parts.length)));
        const sorted = parts.flat().sort((a, b) => a - b);
        fc.pre(sorted.length > 1);
        const range = sorted.at(-1)! - sorted[0]!;
        // Each stretching moves a value by half a bin at most.
        const slack = ((parts.length + 2) * range) / 5000 + 1e-9;
        for (const statistics of [running(parts), merged]) {
          const { moments, quantiles } = statistics.statistics();
          expect(moments.count).toBe(sorted.length);
          for (const [name, quantile] of Object.entries(QUANTILES)) {
            const [value] = quantiles[name as QuantileName];
            const below = sorted.filter((one) => one < value! - slack).length;
            const upTo = sorted.filter((one) => one <= value! + slack).length;
            expect(below).toBeLessThanOrEqual(quantile * sorted.length + 1e-9);
            expect(upTo).toBeGreaterThanOrEqual(quantile * sorted.length - 1e-9);
          }
        }
      }),
    );
  });

  it('has nothing to tell of no rows, and the row itself of one', () => {
    expect(() => new RunningStatistics(2).statistics()).toThrow('no rows');
    expect(running([[3, 4]], 2).statistics().quantiles.q10).toEqual([3, 4]);
  });
});
