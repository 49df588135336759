import { describe, expect, it } from 'vitest';
import { model, updates, values } from '../../test/arrays.ts';
import { aggregateParameters, createStrategy } from '../index.ts';

const a = model([[1, 2, 3], [4, 5, 6]], [7, 8, 9, 10]);

describe.each([{ name: 'fedavg' } as const, { name: 'fedprox' } as const])('$name', (config) => {
  const strategy = createStrategy(config);

  it('vector 1: two equal clients with 1 and 2 examples give themselves', async () => {
    const { parameters } = await aggregateParameters(strategy, { global: model([[0, 0, 0], [0, 0, 0]], [0, 0, 0, 0]), updates: updates([a, 1], [a, 2]) });
    expect(values(parameters)).toEqual(values(a));
  });

  it('vector 14: the mean of three clients', async () => {
    const { parameters } = await aggregateParameters(strategy, {
      global: model([0, 0, 0, 0], [0, 0]),
      updates: updates([model([1, 2, 3, -1], [-5, 6]), 1], [model([2, 3, 7, 1], [-10, 5]), 1], [model([3, 1, 5, 3], [-15, 19]), 1]),
    });
    expect(values(parameters)).toEqual([[2, 2, 5, 1], [-10, 10]]);
  });

  it('weighs by examples and keeps a scalar a scalar', async () => {
    const { parameters } = await aggregateParameters(strategy, { global: model(0), updates: updates([model(1), 1], [model(3), 2]) });
    expect(parameters.get('0')).toEqual({ shape: [], data: Float32Array.of(7 / 3) });
  });

  it.each([
    [[[5, 0.5]], 0.5],
    [[[1, 2], [2, 1], [1, 2]], 1.5],
  ] as const)('vector 1: the mean loss of %j is %f', async (entries, mean) => {
    const { metrics } = await aggregateParameters(strategy, {
      global: model(0),
      updates: entries.map(([numExamples, loss], index) => ({ clientId: `c${index}`, numExamples, parameters: model(1), metrics: { loss } })),
    });
    expect(metrics['loss']).toBe(mean);
  });

  it.each([
    [[1e308, 1e308], 1e308],
    [[1e308, -1e308], 0],
    [[Number.MAX_VALUE, 1], Number.MAX_VALUE / 2],
  ])('has finite means of any metrics that clients may report: %j → %f', async (losses, mean) => {
    const { metrics } = await aggregateParameters(strategy, {
      global: model(0),
      updates: losses.map((loss, index) => ({ clientId: `c${index}`, numExamples: 1e9, parameters: model(1), metrics: { loss } })),
    });
    expect(Math.abs(metrics['loss']! - mean)).toBeLessThanOrEqual(mean * 1e-15);
    expect(JSON.parse(JSON.stringify(metrics))).toEqual(metrics);
  });

  it('averages the metrics that every client has, by examples', async () => {
    const [first, second] = updates([model(1), 1], [model(3), 2]);
    const { metrics } = await aggregateParameters(strategy, {
      global: model(0),
      updates: [{ ...first!, metrics: { loss: 2, extra: 1 } }, { ...second!, metrics: { loss: 1 } }],
    });
    expect(metrics).toEqual({ loss: 4 / 3, num_clients: 2, param_update_norm: Math.fround(7 / 3) });
  });
});

describe('proximal μ', () => {
  const context = { round: 1, totalRounds: 5, clientIds: ['a', 'b'], learningRate: 1e-4, history: [], scalars: {} };

  it('reaches the clients with fedprox, and is 0 with fedavg', () => {
    expect(createStrategy({ name: 'fedprox' }).configureFit(context).clients.get('b')).toEqual({ learningRate: 1e-4, proximalMu: 0.01 });
    expect(createStrategy({ name: 'fedavg' }).configureFit(context).clients.get('b')).toEqual({ learningRate: 1e-4, proximalMu: 0 });
  });
});

describe('configuration', () => {
  it('refuses unknown keys, names and values', () => {
    expect(() => createStrategy({ name: 'fedprox', mu: 1 } as { name: string })).toThrow(/mu/);
    expect(() => createStrategy({ name: 'fedsgd' })).toThrow(/fedsgd/);
    expect(() => createStrategy({ name: 'fedprox', proximalMu: -1 })).toThrow(/proximalMu/);
  });
});
