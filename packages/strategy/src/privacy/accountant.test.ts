import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_ORDERS, privacySpent, renyiDivergence } from './accountant.ts';
import { logErfc } from './erfc.ts';

/** The older conversion of the papers below: ε = RDP + log(1/δ)/(α − 1). */
function classicEpsilon(samplingRate: number, noiseMultiplier: number, rounds: number, delta: number, orders: readonly number[]): number {
  return Math.min(
    ...orders.map((order) => rounds * renyiDivergence({ samplingRate, noiseMultiplier }, order) + Math.log(1 / delta) / (order - 1)),
  );
}

describe('logErfc', () => {
  // mpmath 1.4.1
  it.each([
    [-7, 0.69314718055994529],
    [-1.5, 0.67605450273396062],
    [-0.2, 0.20106364578290623],
    [0.3, -0.39843005144008531],
    [1.2, -2.4114403551669295],
    [2.9, -10.099554065545236],
    [3, -10.720363041981113],
    [3.1, -11.360319632044741],
    [5, -27.200889545537436],
    [10, -102.87988902484489],
    [30, -903.97411711064387],
  ])('of %f is %f', (x, expected) => {
    expect(Math.abs(logErfc(x) - expected)).toBeLessThan(1e-10 * Math.abs(expected));
  });
});

describe('the accountant', () => {
  it('gives ε = 1.26 for q .01, σ 4, 10 000 steps, δ 1e-5, as Abadi et al. (2016) publish', () => {
    const integers = Array.from({ length: 32 }, (_, index) => index + 2);
    expect(classicEpsilon(0.01, 4, 10_000, 1e-5, integers)).toBeCloseTo(1.26, 2);
  });

  // dp-accounting 0.6.0 (Google), its default orders. It rounds fractional orders up, hence is a little above at small ones.
  it.each([
    [250 / 60_000, 1.3, 3600, 1e-5, 0.9422002181626765],
    [0.01, 1, 10_000, 1e-5, 6.712756664482653],
    [0.01, 4, 10_000, 1e-5, 1.0354900660362436],
    [1, 1, 1, 1e-5, 4.728507067217623],
    [1, 5, 20, 1e-6, 4.604529257348231],
    [0.1, 2, 50, 1e-5, 1.843951861015158],
    [0.5, 1.1, 10, 1e-4, 8.78176860369669],
    [256 / 60_000, 1.1, 14_062, 1e-5, 2.5965558697943036],
    [0.001, 0.7, 1000, 1e-6, 2.0643664468251757],
  ])('agrees with dp-accounting at q %f, z %f, %i rounds, δ %f', (samplingRate, noiseMultiplier, rounds, delta, expected) => {
    const ratio = privacySpent([{ samplingRate, noiseMultiplier, rounds }], delta) / expected;
    expect(ratio).toBeGreaterThan(0.999);
    expect(ratio).toBeLessThan(1 + 1e-9);
  });

  // Numerical integration of the defining expectation with mpmath 1.4.1 at 30 digits.
  it.each([
    [0.01, 1, 1.5, 0.00012725374332745],
    [0.01, 1, 2.5, 0.00021757533228188],
    [0.01, 1, 20.5, 5.40866759405469],
    [0.1, 2, 1.1, 0.00152317036652976],
    [0.1, 2, 3.3, 0.00485236839756684],
    [0.001, 0.7, 1.8, 6.00339789762174e-6],
    [0.001, 0.7, 10.9, 3.51694249079686],
    [0.5, 1.1, 1.3, 0.15579351518479],
    [0.5, 1.1, 2.8, 0.467171594853594],
  ])('agrees with numerical integration at q %f, z %f, order %f', (samplingRate, noiseMultiplier, order, expected) => {
    expect(renyiDivergence({ samplingRate, noiseMultiplier }, order) / expected).toBeCloseTo(1, 6);
  });

  it('joins integer and fractional orders without a step', () => {
    for (const order of [2, 3, 7, 15]) {
      const at = (value: number): number => renyiDivergence({ samplingRate: 0.05, noiseMultiplier: 1.2 }, value);
      expect((at(order - 1e-6) + at(order + 1e-6)) / 2 / at(order)).toBeCloseTo(1, 6);
    }
  });

  it('spends more with more rounds, a higher rate, less noise, and never less than nothing', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 0.9, noNaN: true }),
        fc.double({ min: 0.6, max: 8, noNaN: true }),
        fc.integer({ min: 1, max: 500 }),
        (samplingRate, noiseMultiplier, rounds) => {
          const orders = DEFAULT_ORDERS.filter((order) => order >= 2 && Number.isInteger(order));
          const spend = (q: number, z: number, n: number): number =>
            privacySpent([{ samplingRate: q, noiseMultiplier: z, rounds: n }], 1e-5, orders);
          const epsilon = spend(samplingRate, noiseMultiplier, rounds);
          expect(epsilon).toBeGreaterThanOrEqual(0);
          expect(spend(samplingRate, noiseMultiplier, rounds + 1)).toBeGreaterThanOrEqual(epsilon);
          expect(spend(Math.min(1, samplingRate * 1.1), noiseMultiplier, rounds)).toBeGreaterThanOrEqual(epsilon);
          expect(spend(samplingRate, noiseMultiplier * 1.1, rounds)).toBeLessThanOrEqual(epsilon);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('knows nothing spent, and everything spent', () => {
    expect(privacySpent([], 1e-5)).toBe(0);
    expect(privacySpent([{ samplingRate: 1, noiseMultiplier: 0, rounds: 1 }], 1e-5)).toBe(Infinity);
    expect(() => privacySpent([], 0)).toThrow('δ is 0');
  });
});
