import { describe, expect, it } from 'vitest';
import { deriveSeed, Random } from './random.ts';

/** Mean and variance of `count` draws. */
function moments(count: number, draw: () => number): { mean: number; variance: number } {
  const values = Array.from({ length: count }, draw);
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count };
}

describe('Random', () => {
  it('repeats for the same seed and differs for another', () => {
    const draw = (seed: string): number[] => {
      const random = new Random(seed);
      return Array.from({ length: 8 }, () => random.uint32());
    };
    expect(draw('a')).toEqual(draw('a'));
    expect(draw('a')).not.toEqual(draw('b'));
  });

  it('is stable across releases', () => {
    const random = new Random(42);
    expect([random.uint32(), random.uint32(), random.uint32()]).toMatchInlineSnapshot(`
      [
        399445456,
        1433925289,
        2371363520,
      ]
    `);
  });

  it('has the moments of its distributions', () => {
    const random = new Random('moments');
    const uniform = moments(40_000, () => random.uniform());
    expect(uniform.mean).toBeCloseTo(0.5, 2);
    expect(uniform.variance).toBeCloseTo(1 / 12, 2);
    const normal = moments(40_000, () => random.normal());
    expect(normal.mean).toBeCloseTo(0, 1);
    expect(normal.variance).toBeCloseTo(1, 1);
    // Beta(1.5, 1): mean 0.6, variance αβ/((α+β)²(α+β+1)) = 1.5 / (6.25 · 3.5).
    const beta = moments(40_000, () => random.beta(1.5, 1));
    expect(beta.mean).toBeCloseTo(0.6, 2);
    expect(beta.variance).toBeCloseTo(1.5 / (6.25 * 3.5), 2);
    const gamma = moments(40_000, () => random.gamma(0.5));
    expect(gamma.mean).toBeCloseTo(0.5, 1);
  });

  it('draws integers below a bound without leaving it, and every one of them', () => {
    const random = new Random(1);
    const seen = new Set(Array.from({ length: 200 }, () => random.below(7)));
    expect([...seen].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it('shuffles into a permutation and leaves the input alone', () => {
    const items = [1, 2, 3, 4, 5];
    const shuffled = new Random(3).shuffled(items);
    expect(shuffled).not.toEqual(items);
    expect([...shuffled].sort((a, b) => a - b)).toEqual(items);
    expect(items).toEqual([1, 2, 3, 4, 5]);
  });

  it('draws a Dirichlet vector that sums to 1', () => {
    const shares = new Random(5).dirichlet([0.5, 0.5, 2]);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12);
  });
});

describe('deriveSeed', () => {
  it('tells parts apart, whatever their boundaries', () => {
    expect(deriveSeed('a', 'bc')).not.toBe(deriveSeed('ab', 'c'));
    expect(deriveSeed('a', 1)).toBe(deriveSeed('a', '1'));
  });
});
