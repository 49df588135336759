import { hashParameters, Random, type Parameters } from '@zk0/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aggregationInput } from './aggregate-parameters.ts';
import { aggregateParameters, computePart, createStrategy, type ParametersInput, type StrategyConfigInput } from './index.ts';
import { sharedOut } from './testing.ts';

/** Tensors of one block, of several, and of none. */
const SHAPES: Readonly<Record<string, readonly number[]>> = { a: [7], b: [300, 1000], c: [], d: [0], e: [200_000] };
const STRATEGIES: readonly StrategyConfigInput[] = [
  { name: 'fedavg' },
  { name: 'fedadam' },
  { name: 'fedmedian' },
  { name: 'multikrum', malicious: 1, keep: 2 },
  { name: 'bulyan' },
  { name: 'qfedavg', learningRate: 1 },
  { name: 'scaffold' },
  { name: 'dp-adaptive', noiseMultiplier: 0.1 },
];

function model(seed: string): Parameters {
  const random = new Random(seed);
  return new Map(Object.entries(SHAPES).map(([name, shape]) => [name, { shape, data: random.fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))) }]));
}

function round(seed: number, isBroken: boolean): ParametersInput {
  const updates = Array.from({ length: 5 }, (_, n) => ({ clientId: `c${n}`, parameters: model(`${seed} ${n}`), control: model(`control ${seed} ${n}`), numExamples: n + 1, metrics: { loss: n + 1 } }));
  if (isBroken) updates[1]!.parameters.get('e')!.data[150_000] = Number.NaN;
  return { global: model('global'), updates, seed, noiseSecret: new Uint8Array(32).fill(9), population: 9 };
}

describe('an aggregation in parts', () => {
  it('gives the bytes and figures of one that nobody shares, wherever it is cut, also where an update turns out to be broken on the way', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...STRATEGIES), fc.nat(99), fc.boolean(), fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1 }), async (config, seed, isBroken, lengths) => {
        const input = round(seed, isBroken);
        const create = (): ReturnType<typeof createStrategy> => createStrategy(config);
        let parts = 0;
        const cut = (from: number, blocks: number): number => Math.min(blocks, from + lengths[parts++ % lengths.length]!);
        const [whole, shared] = [await aggregateParameters(create(), input), await aggregateParameters(create(), input, { sharing: sharedOut(create, input, cut) })];
        expect(hashParameters(shared.parameters)).toBe(hashParameters(whole.parameters));
        expect(shared.state && hashParameters(shared.state)).toBe(whole.state && hashParameters(whole.state));
        expect([shared.metrics, shared.scalars, shared.excluded]).toEqual([whole.metrics, whole.scalars, whole.excluded]);
        if (isBroken) expect(shared.excluded.map(({ clientId }) => clientId)).toContain('c1');
        expect(parts).toBeGreaterThan(1);
      }),
      { numRuns: 16 },
    );
  });

  it('is none that the aggregation does not have', async () => {
    const none = { earlier: [], write: () => Promise.resolve() };
    const fedavg = createStrategy({ name: 'fedavg' });
    await expect(computePart(fedavg, aggregationInput(round(1, false)), { ...none, pass: 0, from: 3, to: 99 })).rejects.toThrow(/has no blocks 3 to 99/);
    await expect(computePart(fedavg, aggregationInput(round(1, false)), { ...none, pass: 1, from: 0, to: 1 })).rejects.toThrow(/has no blocks 0 to 1/);
  });
});
