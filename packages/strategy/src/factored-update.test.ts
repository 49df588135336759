import { MemoryTensorSource, MemoryTensorSink, Random, type Float32Tensor, type Parameters } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { checkUpdate, createStrategy, FactoredUpdate, type ClientUpdate } from './index.ts';

const RANK = 4;
const FACTORING = { rank: RANK, alpha: 6 };
const SHAPES = { 'one.weight': [37, 53], 'two.weight': [5, 300] } as const;
const COUNTS = [10, 30, 7] as const;

function normal(seed: string, shape: readonly [number, number], size = 1): Float32Tensor {
  const data = new Random(seed).fillNormal(new Float32Array(shape[0] * shape[1]));
  return { shape: [...shape], data: data.map((value) => size * value) };
}

const global: Parameters = new Map(Object.entries(SHAPES).map(([name, shape]) => [name, normal(name, shape)]));
const specs = [...global].map(([name, { shape }]) => ({ name, dtype: 'F32' as const, shape })).sort((a, b) => (a.name < b.name ? -1 : 1));

function factors(seed: string): Parameters {
  return new Map(
    Object.entries(SHAPES).flatMap(([name, [outputs, inputs]]) => [
      [name.replace('.weight', '.lora_A.weight'), normal(`${seed}/a/${name}`, [RANK, inputs], 0.1)] as const,
      [name.replace('.weight', '.lora_B.weight'), normal(`${seed}/b/${name}`, [outputs, RANK], 0.1)] as const,
    ]),
  );
}

function source(seed: string, change: (given: Map<string, Float32Tensor>) => void = () => undefined): MemoryTensorSource {
  const given = new Map(factors(seed));
  change(given);
  return MemoryTensorSource.fromParameters(given);
}

const clients = COUNTS.map((numExamples, index) => ({ clientId: `c${index}`, numExamples }));

function updates(): ClientUpdate[] {
  return clients.map(({ clientId, numExamples }) => ({
    clientId, numExamples, metrics: { loss: 1 }, kind: 'delta', tensors: new FactoredUpdate(clientId, source(clientId), specs, FACTORING),
  }));
}

/** A client's product, value by value in float64. */
function product(clientId: string, name: keyof typeof SHAPES): number[] {
  const [outputs, inputs] = SHAPES[name];
  const given = factors(clientId);
  const [a, b] = ['A', 'B'].map((which) => given.get(name.replace('.weight', `.lora_${which}.weight`))!.data) as [Float32Array, Float32Array];
  return Array.from({ length: outputs * inputs }, (_, at) => {
    let sum = 0;
    for (let factor = 0; factor < RANK; factor++) sum += b[Math.floor(at / inputs) * RANK + factor]! * a[factor * inputs + (at % inputs)]!;
    return (FACTORING.alpha / RANK) * sum;
  });
}

async function aggregate(name: string, options: Record<string, unknown> = {}): Promise<Map<string, Float32Array>> {
  const parameters = new MemoryTensorSink(specs);
  const strategy = createStrategy({ name, ...options });
  const state = new MemoryTensorSink(strategy.stateSpecs(specs));
  await strategy.aggregate(
    { round: 1, global: MemoryTensorSource.fromParameters(global), updates: updates(), state: null, scalars: {}, seed: 1 },
    { parameters, state: strategy.stateSpecs(specs).length === 0 ? null : state },
  );
  return valuesOf(parameters);
}

function valuesOf(sink: MemoryTensorSink): Map<string, Float32Array> {
  const written = sink.finish();
  return new Map(specs.map(({ name }) => [name, new Float32Array(written.locate(name).bytes.slice().buffer)]));
}

describe('updates of factors', () => {
  it('are aggregated as the mean of their products, to float32', async () => {
    const found = await aggregate('fedavg');
    const total = COUNTS.reduce((sum, count) => sum + count, 0);
    let farFromFactors = 0;
    for (const name of Object.keys(SHAPES) as (keyof typeof SHAPES)[]) {
      const products = clients.map(({ clientId }) => product(clientId, name));
      const meanOf = (which: string): number[] =>
        [...factors('c0').get(name.replace('.weight', `.lora_${which}.weight`))!.data].map((_, at) =>
          clients.reduce((sum, { clientId, numExamples }) => sum + (numExamples / total) * factors(clientId).get(name.replace('.weight', `.lora_${which}.weight`))!.data[at]!, 0));
      const [a, b] = [meanOf('A'), meanOf('B')];
      const inputs = SHAPES[name][1];
      global.get(name)!.data.forEach((before, at) => {
        const mean = clients.reduce((sum, { numExamples }, client) => sum + (numExamples / total) * products[client]![at]!, 0);
        const size = Math.abs(before) + clients.reduce((sum, _, client) => sum + Math.abs(products[client]![at]!), 0);
        expect(Math.abs(found.get(name)![at]! - (before + mean))).toBeLessThanOrEqual(2 ** -23 * size);
        // What a mean of the factors would have made of it.
        let naive = 0;
        for (let factor = 0; factor < RANK; factor++) naive += b[Math.floor(at / inputs) * RANK + factor]! * a[factor * inputs + (at % inputs)]!;
        farFromFactors = Math.max(farFromFactors, Math.abs((FACTORING.alpha / RANK) * naive - mean));
      });
    }
    expect(farFromFactors).toBeGreaterThan(0.01);
  });

  it('are to every rule what the same change in full is', async () => {
    for (const [name, options] of [['fedmedian', {}], ['krum', {}], ['fedadam', {}], ['qfedavg', { learningRate: 0.1 }]] as const) {
      const found = await aggregate(name, options);
      const strategy = createStrategy({ name, ...options });
      const parameters = new MemoryTensorSink(specs);
      const state = strategy.stateSpecs(specs);
      await strategy.aggregate(
        {
          round: 1, global: MemoryTensorSource.fromParameters(global), state: null, scalars: {}, seed: 1,
          updates: clients.map(({ clientId, numExamples }) => ({
            clientId, numExamples, metrics: { loss: 1 }, kind: 'delta',
            tensors: MemoryTensorSource.fromParameters(
              new Map((Object.keys(SHAPES) as (keyof typeof SHAPES)[]).map((key) => [key, { shape: [...SHAPES[key]], data: Float32Array.from(product(clientId, key)) }])),
            ),
          })),
        },
        { parameters, state: state.length === 0 ? null : new MemoryTensorSink(state) },
      );
      expect(found, name).toEqual(valuesOf(parameters));
    }
  });

  it('have the norm of their products', async () => {
    const [update] = updates();
    const { norm } = await checkUpdate(update!, { global: MemoryTensorSource.fromParameters(global) });
    const squares = (Object.keys(SHAPES) as (keyof typeof SHAPES)[]).flatMap((name) => product('c0', name)).reduce((sum, value) => sum + value * value, 0);
    expect(norm).toBeCloseTo(Math.sqrt(squares), 6);
  });

  it('can be read from any byte to any other', async () => {
    const update = new FactoredUpdate('c0', source('c0'), specs, FACTORING);
    const whole = new Uint8Array(4 * 37 * 53);
    await update.readBytes('one.weight', 0, whole);
    expect(new Float32Array(whole.buffer)).toEqual(Float32Array.from(product('c0', 'one.weight')));
    for (const [offset, length] of [[0, 4], [4 * 52, 8], [7, 1000], [4 * 53 * 36 + 3, 4 * 53 - 3], [10, 0]] as const) {
      const part = new Uint8Array(length);
      await update.readBytes('one.weight', offset, part);
      expect(part).toEqual(whole.slice(offset, offset + length));
    }
    await expect(update.readBytes('one.weight', 4 * 37 * 53 - 1, new Uint8Array(2))).rejects.toThrow(/not there/);
    await expect(update.readBytes('three', 0, new Uint8Array(2))).rejects.toThrow(/not there/);
  });

  it('are refused where a factor is missing, left over, of another rank or type, or not finite', async () => {
    const open = (change: (given: Map<string, Float32Tensor>) => void): FactoredUpdate => new FactoredUpdate('anna', source('c0', change), specs, FACTORING);
    expect(() => open((given) => given.delete('one.lora_B.weight'))).toThrow(/client anna, tensor one.lora_B.weight: .*low rank/);
    expect(() => open((given) => given.set('three.lora_A.weight', normal('x', [4, 4])))).toThrow(/three.lora_A.weight: it is no factor/);
    expect(() => open((given) => given.set('one.lora_A.weight', normal('x', [5, 53])))).toThrow(/shape \[5, 53\], not \[4, 53\]/);
    const half = new MemoryTensorSource([...factors('c0')].map(([name, { shape, data }]) => ({ name, dtype: 'BF16', shape, data: new Uint8Array(2 * data.length) })));
    expect(() => new FactoredUpdate('anna', half, specs, FACTORING)).toThrow(/BF16, not F32/);
    const broken = open((given) => given.get('one.lora_A.weight')!.data.fill(NaN, 3, 4));
    const update = { clientId: 'anna', numExamples: 1, metrics: {}, kind: 'delta', tensors: broken } as const;
    await expect(checkUpdate(update, { global: MemoryTensorSource.fromParameters(global) })).rejects.toMatchObject({ code: 'UPDATE_NON_FINITE', clientId: 'anna' });
  });
});
