import type { Parameters } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { filled, model, updates, values } from '../../test/arrays.ts';
import {
  aggregateParameters,
  createStrategy,
  privacySpent,
  readLedger,
  type FitContext,
  type ParametersUpdate,
  type Scalars,
  type StrategyConfigInput,
} from '../index.ts';
import { clipScale, effectiveNoiseMultiplier, PrivacyMechanism } from './mechanism.ts';

const fixed = (noiseMultiplier: number, norm: number): PrivacyMechanism =>
  new PrivacyMechanism({ noiseMultiplier, clipping: { kind: 'fixed', norm } });

/** Twenty clients, whose scalar updates have these norms. */
const clients = (norms: readonly number[]): ParametersUpdate[] =>
  updates(...norms.map((norm): [Parameters, number] => [model(norm), 1]));

const secretOf = (seed: number): Uint8Array => new Uint8Array(32).fill(seed);

const context = (scalars: Scalars, count = 4): FitContext => ({
  round: 1,
  totalRounds: 100,
  clientIds: Array.from({ length: count }, (_, index) => `c${index}`),
  learningRate: 1e-4,
  history: [],
  scalars,
});

describe('clipping', () => {
  it('vector 12: the norm goes over all arrays, and equal updates share one factor', async () => {
    const update = model([[1, 2], [3, 4]], [[5, 6], [7, 8]]);
    const norm = 14.2828568570857;
    expect(Math.sqrt([1, 2, 3, 4, 5, 6, 7, 8].reduce((sum, value) => sum + value ** 2, 0))).toBeCloseTo(norm, 12);
    const { parameters } = await aggregateParameters(createStrategy({ name: 'dp-fixed', noiseMultiplier: 0, clippingNorm: 1 }), {
      global: filled(update, 0),
      updates: updates([update, 1], [update, 7]),
    });
    for (const [index, value] of values(parameters).flat().entries()) expect(value).toBeCloseTo((index + 1) / norm, 6);
  });

  it('vector 12: σ is .05 for z 1, C .5, n 10', () => {
    expect(fixed(1, 0.5).round(Array.from({ length: 10 }, () => 1), {}, secretOf(1), 1).sigma(10)).toBeCloseTo(0.05, 15);
  });

  it('pitfall: a zero update is not divided by', () => {
    expect(clipScale(0, 0.5)).toBe(1);
    expect(clipScale(4, 0.5)).toBe(0.125);
  });

  it('pitfall: scalars are clipped too', async () => {
    const { parameters } = await aggregateParameters(createStrategy({ name: 'dp-fixed', noiseMultiplier: 0, clippingNorm: 1 }), {
      global: model(3),
      updates: updates([model(103), 1]),
    });
    expect(parameters.get('0')).toEqual({ shape: [], data: Float32Array.of(4) });
  });

  it('pitfall: clients weigh the same, whatever examples they claim', async () => {
    const { parameters } = await aggregateParameters(createStrategy({ name: 'dp-fixed', noiseMultiplier: 0, clippingNorm: 10 }), {
      global: model(0),
      updates: updates([model(1), 1], [model(3), 1_000_000]),
    });
    expect(values(parameters)).toEqual([[2]]);
  });
});

describe('adaptive clipping', () => {
  const config = { name: 'dp-adaptive', noiseMultiplier: 0 } as const;

  it.each([
    [10, 1, 1.1051709180756477],
    [1, 10, 9.048374180359595],
  ])('vector 12: twenty norms of %f, C %f → %f', async (norm, initialClippingNorm, expected) => {
    const { scalars, metrics } = await aggregateParameters(createStrategy({ ...config, initialClippingNorm }), {
      global: model(0),
      updates: clients(Array.from({ length: 20 }, () => norm)),
    });
    expect(scalars['clippingNorm']).toBeCloseTo(expected, 14);
    expect(metrics['dp_clipping_norm']).toBe(initialClippingNorm);
  });

  it('vector 12: finds the median of norms from 1 to 3 in 120 rounds', async () => {
    const strategy = createStrategy(config);
    const norms = Array.from({ length: 20 }, (_, index) => 1 + (2 * index) / 19);
    let scalars: Scalars = {};
    for (let round = 1; round <= 120; round++) {
      ({ scalars } = await aggregateParameters(strategy, { round, global: model(0), updates: clients(norms), scalars }));
    }
    expect(Math.abs(Number(scalars['clippingNorm']) - 2)).toBeLessThan(0.2);
  });

  it('waits for as many clients as the count’s noise needs', () => {
    const strategy = createStrategy({ name: 'dp-adaptive', noiseMultiplier: 10 });
    expect(() => strategy.configureFit(context({}, 100))).toThrow('100 clients are available, a round needs 101');
    expect(() => strategy.configureFit(context({}, 101))).not.toThrow();
  });

  it('noises with the norm that clipped, not with the next one', async () => {
    // All norms are far above C, so the next C is larger by e: noise of that scale would be seen at once.
    const size = 20_000;
    const global = model(new Array<number>(size).fill(0));
    const far = model([1000, ...new Array<number>(size - 1).fill(0)]);
    const count = 30;
    const { parameters, scalars, metrics } = await aggregateParameters(
      createStrategy({ name: 'dp-adaptive', noiseMultiplier: 1, initialClippingNorm: 0.5, clippingLearningRate: 2, targetQuantile: 0.5 }),
      { global, updates: updates(...Array.from({ length: count }, (): [Parameters, number] => [far, 1])), noiseSecret: secretOf(3) },
    );
    const noise = parameters.get('0')!.data.subarray(1);
    const deviation = Math.sqrt(noise.reduce((sum, value) => sum + value ** 2, 0) / noise.length);
    expect(metrics['dp_clipping_norm']).toBe(0.5);
    expect(Number(scalars['clippingNorm'])).toBeGreaterThan(1);
    const expected = (effectiveNoiseMultiplier(1, count / 20) * 0.5) / count;
    expect(Math.abs(deviation / expected - 1)).toBeLessThan(5 / Math.sqrt(2 * size));
  });

  it('noises the count of clients that were not clipped with σ_b, and learns from the noisy one', async () => {
    const strategy = createStrategy({ name: 'dp-adaptive', noiseMultiplier: 1, initialClippingNorm: 1, countStddev: 4 });
    const all = clients(Array.from({ length: 20 }, () => 10));
    const noises: number[] = [];
    for (let seed = 1; seed <= 40; seed++) {
      const { scalars } = await aggregateParameters(strategy, { global: model(0), updates: all, noiseSecret: secretOf(seed) });
      // C' = C·exp(−.2·(b − .5)), b the noisy fraction of 20.
      noises.push(20 * (0.5 - Math.log(Number(scalars['clippingNorm'])) / 0.2));
    }
    const deviation = Math.sqrt(noises.reduce((sum, value) => sum + value ** 2, 0) / noises.length);
    expect(deviation).toBeGreaterThan(4 * (1 - 4 / Math.sqrt(80)));
    expect(deviation).toBeLessThan(4 * (1 + 4 / Math.sqrt(80)));
  });

  it('vector 12: splits the noise between updates and count', () => {
    expect(effectiveNoiseMultiplier(3, 5)).toBeCloseTo((3 ** -2 - 10 ** -2) ** -0.5, 14);
    expect(() => effectiveNoiseMultiplier(10, 100 / 20)).toThrow('below 2·countStddev');
    expect(() => createStrategy({ name: 'dp-adaptive', noiseMultiplier: 3, countStddev: 1 })).toThrow('below 2·countStddev');
  });
});

describe('noise', () => {
  const size = 20_000;
  const global = model(new Array<number>(size).fill(0));
  const run = async (config: StrategyConfigInput, secret: number, count = 10, round = 1, seed = 'run'): Promise<Float32Array> => {
    const result = await aggregateParameters(createStrategy(config), {
      global,
      updates: updates(...Array.from({ length: count }, (): [Parameters, number] => [global, 1])),
      seed,
      noiseSecret: secretOf(secret),
      round,
    });
    return result.parameters.get('0')!.data;
  };
  const config = { name: 'dp-fixed', noiseMultiplier: 1, clippingNorm: 0.5 } as const;

  it('is Gaussian with σ = z·C/n, independent from value to value', async () => {
    const noise = await run(config, 11);
    const sigma = 0.05;
    const scaled = [...noise].map((value) => value / sigma);
    const mean = scaled.reduce((sum, value) => sum + value, 0) / size;
    const moment = (power: number): number => scaled.reduce((sum, value) => sum + value ** power, 0) / size;
    // Five standard errors: of the mean 1/√n, of the variance √(2/n), of the fourth moment √(96/n).
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(size));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / size));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / size));
    const lag = scaled.slice(1).reduce((sum, value, index) => sum + value * scaled[index]!, 0) / size;
    expect(Math.abs(lag)).toBeLessThan(5 / Math.sqrt(size));
    // Kolmogorov–Smirnov at p ≈ 1e-6: 2.7/√n.
    const sorted = Float64Array.from(scaled).sort();
    let worst = 0;
    for (const [index, value] of sorted.entries()) worst = Math.max(worst, Math.abs((index + 0.5) / size - normalCdf(value)));
    expect(worst).toBeLessThan(2.7 / Math.sqrt(size));
  });

  it('is another one for another secret or round, and the same for the same', async () => {
    const first = await run(config, 1);
    expect(await run(config, 1)).toEqual(first);
    const others = [await run(config, 2), await run(config, 1, 10, 2)];
    for (const other of others) {
      const product = first.reduce((sum, value, index) => sum + value * other[index]!, 0) / size / 0.05 ** 2;
      expect(Math.abs(product)).toBeLessThan(5 / Math.sqrt(size));
    }
  });

  it('does not follow from the run’s seed, which is published', async () => {
    expect(await run(config, 1, 10, 1, 'another seed')).toEqual(await run(config, 1));
  });

  it('is that of the vector: secret 00…1f, round 1', async () => {
    const noiseSecret = Uint8Array.from({ length: 32 }, (_, index) => index);
    const { parameters } = await aggregateParameters(createStrategy(config), { global, updates: updates([global, 1], [global, 1]), noiseSecret });
    const expected = [-0.06831528133454648, 0.9300710585697666, -1.394460190539015, 1.557745087033106].map((value) => Math.fround(value * 0.25));
    expect([...parameters.get('0')!.data.subarray(0, 4)]).toEqual(expected);
    expect(parameters.get('0')!.data[8192]).toBe(Math.fround(1.1141540875681097 * 0.25));
  });

  it.each([['dp-fixed', config], ['dp-adaptive', { name: 'dp-adaptive', noiseMultiplier: 0.1 }]] as const)('is never without a secret: %s', async (_name, config) => {
    const strategy = createStrategy(config);
    expect(strategy.needsNoiseSecret).toBe(true);
    for (const noiseSecret of [undefined, new Uint8Array(0), new Uint8Array(31)]) {
      const round = aggregateParameters(strategy, { global, updates: updates([global, 1], [global, 1], [global, 1]), ...(noiseSecret && { noiseSecret }) });
      await expect(round).rejects.toMatchObject({ code: 'NOISE_SECRET_MISSING' });
    }
    expect(createStrategy({ ...config, noiseMultiplier: 0 }).needsNoiseSecret).toBe(false);
    expect(createStrategy({ name: 'fedavg' }).needsNoiseSecret).toBe(false);
  });

  it('is as much larger as fewer values remain after trimming', async () => {
    const deviation = (noise: Float32Array): number => Math.sqrt(noise.reduce((sum, value) => sum + value ** 2, 0) / size);
    const trimmed = await run({ ...config, inner: { name: 'fedtrimmedavg', beta: 0.2 } }, 1);
    expect(deviation(trimmed)).toBeCloseTo(0.5 / 6, 2);
    const median = await run({ ...config, inner: { name: 'fedmedian' } }, 1, 9);
    expect(deviation(median)).toBeCloseTo(0.5, 1);
  });

  it('comes before the server optimiser', async () => {
    const plain = await run(config, 1);
    const halved = await run({ ...config, inner: { name: 'fedavgm', learningRate: 0.5 } }, 1);
    for (let index = 0; index < 100; index++) expect(halved[index]).toBeCloseTo(plain[index]! / 2, 6);
  });
});

describe('a privacy budget', () => {
  const config = { name: 'dp-fixed', noiseMultiplier: 2, clippingNorm: 1, budget: { epsilon: 4, delta: 1e-5 } } as const;

  it('refuses the round that would exceed it, before it starts', async () => {
    const strategy = createStrategy(config);
    let scalars: Scalars = {};
    let rounds = 0;
    for (;;) {
      const before = scalars;
      if (privacySpent([{ noiseMultiplier: 2, samplingRate: 1, rounds: rounds + 1 }], 1e-5) > 4) {
        expect(() => strategy.configureFit(context(before))).toThrow(/another round would spend ε = 4\.\d+ of 4/);
        break;
      }
      expect(() => strategy.configureFit(context(before))).not.toThrow();
      ({ scalars } = await aggregateParameters(strategy, { global: model(0), updates: clients([1, 1]), scalars, noiseSecret: secretOf(1) }));
      rounds++;
    }
    expect(rounds).toBeGreaterThan(1);
    expect(readLedger(scalars)).toEqual([{ noiseMultiplier: 2, samplingRate: 1, rounds }]);
  });

  it('counts sampling only where clients are drawn by Poisson sampling', () => {
    const rounds = (poissonRate?: number): number => {
      const strategy = createStrategy({ ...config, ...(poissonRate === undefined ? {} : { poissonRate }) });
      for (let count = 1; ; count++) {
        const scalars = { ledger: [{ noiseMultiplier: 2, samplingRate: poissonRate ?? 1, rounds: count }] };
        try {
          strategy.configureFit(context(scalars));
        } catch {
          return count;
        }
      }
    };
    expect(rounds(0.1)).toBeGreaterThan(20 * rounds());
  });

  it('does not start again from nothing when the ledger is damaged', () => {
    expect(() => createStrategy(config).configureFit(context({ ledger: 'none' }))).toThrow('ledger in the saved state is damaged');
  });

  it('without noise is refused at once', () => {
    expect(() => createStrategy({ ...config, noiseMultiplier: 0 })).toThrow('exceeded by the first round');
  });
});

/** Φ by the series of the error function; enough for a test at 1e-3. */
function normalCdf(x: number): number {
  if (Math.abs(x) > 6) return x > 0 ? 1 : 0;
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n++) {
    term *= (x * x) / (2 * n + 1);
    sum += term;
  }
  return 0.5 + sum * Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
}

it('the test’s own normal distribution is right', () => {
  expect(normalCdf(1.959963984540054)).toBeCloseTo(0.975, 9);
});
