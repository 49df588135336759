import { createHash } from 'node:crypto';

/**
 * A seed for one purpose, derived from a run's seed: `deriveSeed('7', 'round', 3, 'client-1', 'noise')`.
 * Hex SHA-256 of the parts; different parts give unrelated streams, the same parts the same stream for ever.
 */
export function deriveSeed(...parts: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(parts.map(String))).digest('hex');
}

/**
 * Seeded random numbers: xoshiro128** (Blackman & Vigna, 2018), state filled from SHA-256 of the seed.
 * Not for secrets. The same seed gives the same numbers on every platform; {@link normal} differs at most in the last
 * bit between builds of V8, because `Math.log` and friends may.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;
  #spareNormal: number | undefined;

  constructor(seed: string | number) {
    const digest = createHash('sha256').update(`zk0:${seed}`).digest();
    this.#a = digest.readUInt32LE(0);
    this.#b = digest.readUInt32LE(4);
    this.#c = digest.readUInt32LE(8);
    this.#d = digest.readUInt32LE(12) | 1;
  }

  /** Uniform integer in [0, 2³²). */
  uint32(): number {
    const five = Math.imul(this.#b, 5);
    const result = Math.imul((five << 7) | (five >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** Uniform float64 in [0, 1) with 53 random bits. */
  uniform(): number {
    return ((this.uint32() >>> 5) * 67_108_864 + (this.uint32() >>> 6)) / 9_007_199_254_740_992;
  }

  /** Uniform integer in [0, bound), without modulo bias. `bound` is at most 2³². */
  below(bound: number): number {
    const limit = 4_294_967_296 - (4_294_967_296 % bound);
    let value = this.uint32();
    while (value >= limit) value = this.uint32();
    return value % bound;
  }

  /** Standard normal (Marsaglia's polar method). */
  normal(): number {
    if (this.#spareNormal !== undefined) {
      const spare = this.#spareNormal;
      this.#spareNormal = undefined;
      return spare;
    }
    for (;;) {
      const u = 2 * this.uniform() - 1;
      const v = 2 * this.uniform() - 1;
      const s = u * u + v * v;
      if (s >= 1 || s === 0) continue;
      const scale = Math.sqrt((-2 * Math.log(s)) / s);
      this.#spareNormal = v * scale;
      return u * scale;
    }
  }

  /** Fills an array with standard normal values. */
  fillNormal(array: Float32Array): Float32Array {
    for (let index = 0; index < array.length; index++) array[index] = this.normal();
    return array;
  }

  /** Gamma(shape, 1) by Marsaglia & Tsang (2000). */
  gamma(shape: number): number {
    if (shape < 1) return this.gamma(shape + 1) * Math.pow(1 - this.uniform(), 1 / shape);
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = (1 + c * x) ** 3;
      if (v <= 0) continue;
      const u = 1 - this.uniform();
      if (Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
    }
  }

  /** Beta(alpha, beta) as a ratio of gammas. */
  beta(alpha: number, beta: number): number {
    const x = this.gamma(alpha);
    return x / (x + this.gamma(beta));
  }

  /** Dirichlet over `concentrations.length` categories. */
  dirichlet(concentrations: readonly number[]): number[] {
    const draws = concentrations.map((concentration) => this.gamma(concentration));
    const total = draws.reduce((sum, draw) => sum + draw, 0);
    return draws.map((draw) => draw / total);
  }

  /** A copy in random order (Fisher–Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let index = result.length - 1; index > 0; index--) {
      const other = this.below(index + 1);
      [result[index], result[other]] = [result[other]!, result[index]!];
    }
    return result;
  }
}
