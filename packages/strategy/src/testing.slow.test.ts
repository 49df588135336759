import { describe, expect, it } from 'vitest';
import { composeStrategy, createStrategy, examplesMean, type Strategy, type StrategyConfigInput } from './index.ts';
import { strategyContract, type ContractOptions } from './testing.ts';

const weighed = { weighsByExamples: true } as const;
const unweighed = { weighsByExamples: false } as const;
const damped = { keepsAgreement: false } as const;

const CASES: readonly (readonly [StrategyConfigInput, ContractOptions])[] = [
  [{ name: 'fedavg' }, weighed],
  [{ name: 'fedprox' }, weighed],
  [{ name: 'fault-tolerant-fedavg', minCompletionRate: 0.1 }, weighed],
  [{ name: 'fedavgm', momentum: 0.9 }, weighed],
  [{ name: 'fedmom' }, { ...weighed, ...damped }],
  [{ name: 'diloco' }, { ...weighed, ...damped }],
  [{ name: 'fedadagrad' }, { ...weighed, ...damped }],
  [{ name: 'fedadam' }, { ...weighed, ...damped }],
  [{ name: 'fedyogi' }, { ...weighed, ...damped }],
  [{ name: 'fedmedian' }, unweighed],
  [{ name: 'fedtrimmedavg' }, unweighed],
  [{ name: 'meamed', count: 3 }, unweighed],
  [{ name: 'krum', malicious: 1 }, unweighed],
  [{ name: 'multikrum', malicious: 1, keep: 4 }, {}],
  [{ name: 'bulyan', malicious: 1 }, unweighed],
  [{ name: 'qfedavg', learningRate: 1 }, { ...unweighed, ...damped }],
  [{ name: 'scaffold' }, weighed],
  [{ name: 'fedbuff', bufferSize: 3 }, unweighed],
  [{ name: 'dp-fixed', noiseMultiplier: 0.1, clippingNorm: 1 }, { ...unweighed, ...damped }],
  [{ name: 'dp-adaptive', noiseMultiplier: 0.1 }, { ...unweighed, ...damped }],
  [
    { name: 'dp-fixed', noiseMultiplier: 0.1, clippingNorm: 1, inner: { name: 'fedavgm', momentum: 0.5, inner: { name: 'fedtrimmedavg' } } },
    { ...unweighed, ...damped },
  ],
];

for (const [config, options] of CASES) {
  const strategy = createStrategy(config);
  // Starting threads takes most of the time; engine/pool.slow.test.ts compares them for every kind of pass.
  strategyContract(strategy.name, () => createStrategy(config), { describe, it }, { workers: 0, ...options });
}

describe('the contract', () => {
  /** Runs the suite outside the test runner and returns the names of the tests that fail. */
  async function failures(create: () => Strategy, options: ContractOptions = {}): Promise<string[]> {
    const failed: string[] = [];
    const tests: [string, () => Promise<void>][] = [];
    strategyContract('subject', create, { describe: (_name, body) => { body(); }, it: (name, body) => tests.push([name, body]) }, options);
    for (const [name, body] of tests) {
      try {
        await body();
      } catch {
        failed.push(name);
      }
    }
    return failed;
  }

  const honest = (): Strategy => createStrategy({ name: 'fedavg' });

  it('is kept by an honest strategy', async () => {
    expect(await failures(honest)).toEqual([]);
  });

  it.each([
    [
      'keeps state to itself',
      (): Strategy => {
        let rounds = 0;
        return composeStrategy({
          name: 'secretive',
          rule: { ...examplesMean('secretive'), combine: ({ updates }) => ({ kind: 'mean', weights: updates.map(() => 1), divisor: updates.length + rounds++, anchored: true }) },
        });
      },
      ['is a function of its input', 'continues to the bit'],
    ],
    [
      'returns the old parameters',
      (): Strategy => composeStrategy({ name: 'still', rule: { name: 'still', minUpdates: 1, combine: () => ({ kind: 'custom', combine: (_values, global, into) => { into.set(global); } }) } }),
      ['moves', 'takes what all clients agree on'],
    ],
    [
      'claims to weigh by examples',
      (): Strategy => createStrategy({ name: 'fedmedian' }),
      ['weighs by examples'],
    ],
  ])('catches a strategy that %s', async (_what, create, expected) => {
    const failed = await failures(create, { weighsByExamples: true, workers: 0 });
    for (const name of expected) expect(failed.some((test) => test.startsWith(name))).toBe(true);
  });
});
