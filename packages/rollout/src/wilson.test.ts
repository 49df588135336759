import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { successRate } from './wilson.ts';

describe('successRate', () => {
  // Computed with statsmodels.stats.proportion.proportion_confint(method='wilson').
  it.each([
    [101, 120, 0.7662, 0.8963],
    [0, 20, 0, 0.1611],
    [20, 20, 0.8389, 1],
    [1, 2, 0.0945, 0.9055],
  ])('of %d of %d', (successes, trials, low, high) => {
    const found = successRate(successes, trials);
    expect(found.low).toBeCloseTo(low, 3);
    expect(found.high).toBeCloseTo(high, 3);
  });

  it('lies in its interval, which shrinks with the number of trials', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.double({ min: 0, max: 1, noNaN: true }), (trials, share) => {
        const successes = Math.round(share * trials);
        const { rate, low, high } = successRate(successes, trials);
        expect(low).toBeLessThanOrEqual(rate);
        expect(high).toBeGreaterThanOrEqual(rate);
        const more = successRate(successes * 4, trials * 4);
        expect(more.high - more.low).toBeLessThan(high - low);
      }),
    );
  });

  it.each([[3, 2], [-1, 2], [0.5, 2]])('refuses %d of %d', (successes, trials) => {
    expect(() => successRate(successes, trials)).toThrow('no numbers of trials');
  });

  it('knows nothing without trials', () => {
    expect(successRate(0, 0)).toMatchObject({ low: 0, high: 1 });
  });
});
