import { MemoryTensorSink, MemoryTensorSource } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { model, updates, values } from '../../test/arrays.ts';
import { aggregateParameters, createStrategy, type ClientUpdate } from '../index.ts';

describe('qfedavg', () => {
  /** The formula of the paper, on scalars. */
  function reference(q: number, learningRate: number, w: number, clients: readonly (readonly [weight: number, loss: number])[]): number {
    const lipschitz = 1 / learningRate;
    let delta = 0;
    let h = 0;
    for (const [wk, loss] of clients) {
      const g = lipschitz * (w - wk);
      delta += (loss + 1e-10) ** q * g;
      h += q * (loss + 1e-10) ** (q - 1) * g * g + lipschitz * (loss + 1e-10) ** q;
    }
    return w - delta / h;
  }

  const run = async (q: number, learningRate: number, w: number, clients: readonly (readonly [number, number])[]): Promise<number> => {
    const { parameters } = await aggregateParameters(createStrategy({ name: 'qfedavg', q, learningRate }), {
      global: model(w),
      updates: clients.map(([weight, loss], index) => ({ clientId: `c${index}`, parameters: model(weight), numExamples: 1, metrics: { loss } })),
    });
    return parameters.get('0')!.data[0]!;
  };

  it('follows the formula, each client with its own loss', async () => {
    const clients = [[1.5, 0.2], [0.25, 3], [2, 1]] as const;
    expect(await run(0.1, 0.5, 1, clients)).toBeCloseTo(reference(0.1, 0.5, 1, clients), 6);
    expect(await run(2, 0.1, 1, clients)).toBeCloseTo(reference(2, 0.1, 1, clients), 6);
  });

  it('is the plain mean for q 0', async () => {
    expect(await run(0, 0.3, 1, [[1.5, 0.2], [0.5, 3], [4, 1]])).toBeCloseTo(2, 6);
  });

  it('pitfall: takes a loss of 0 and an update of 0 without dividing by zero, and keeps float32', async () => {
    expect(await run(0.1, 0.5, 1, [[1, 0], [1, 0]])).toBe(1);
  });

  it('refuses a loss that would own the mean or leave float64, and goes on without it', async () => {
    const entries = [[1, 1], [2, 2], [9, 1e308]] as const;
    const { parameters, excluded } = await aggregateParameters(createStrategy({ name: 'qfedavg', q: 1, learningRate: 0.5 }), {
      global: model(0),
      updates: entries.map(([value, loss], index) => ({ clientId: `c${index}`, numExamples: 1, parameters: model(value), metrics: { loss } })),
    });
    expect(excluded).toMatchObject([{ clientId: 'c2', code: 'UPDATE_BAD_METRIC' }]);
    expect(Number.isFinite(parameters.get('0')!.data[0])).toBe(true);
  });

  it('leaves out clients without a loss', async () => {
    const { excluded } = await aggregateParameters(createStrategy({ name: 'qfedavg', learningRate: 0.1 }), {
      global: model(0),
      updates: [{ ...updates([model(1), 1])[0]!, metrics: { loss: 1 } }, { clientId: 'x', parameters: model(1), numExamples: 1 }],
    });
    expect(excluded).toMatchObject([{ clientId: 'x', code: 'UPDATE_BAD_METRIC' }]);
  });
});

describe('fedbuff', () => {
  const strategy = createStrategy({ name: 'fedbuff', bufferSize: 2 });

  it('weighs each difference from what its client started from by 1/√(1 + staleness)', async () => {
    const { parameters } = await aggregateParameters(strategy, {
      global: model(10),
      updates: [
        { clientId: 'fresh', parameters: model(12), numExamples: 1 },
        { clientId: 'stale', parameters: model(8), base: model(4), staleness: 3, numExamples: 99 },
      ],
    });
    expect(values(parameters)).toEqual([[10 + (2 + 4 / 2) / 2]]);
  });

  it('takes differences as they are', async () => {
    const source = (value: number): MemoryTensorSource => MemoryTensorSource.fromParameters(model(value));
    const sink = new MemoryTensorSink(source(0).specs);
    const update = (clientId: string, value: number, staleness: number): ClientUpdate => ({
      clientId,
      numExamples: 1,
      metrics: {},
      tensors: source(value),
      kind: 'delta',
      staleness,
    });
    await strategy.aggregate(
      { round: 1, global: source(10), updates: [update('a', 2, 0), update('b', 4, 3)], state: null, scalars: {}, seed: 0 },
      { parameters: sink, state: null },
    );
    const read = new Float32Array(1);
    await sink.finish().readBytes('0', 0, new Uint8Array(read.buffer));
    expect(read[0]).toBe(12);
  });

  it('waits for a full buffer', async () => {
    await expect(aggregateParameters(strategy, { global: model(0), updates: updates([model(1), 1]) })).rejects.toMatchObject({
      code: 'TOO_FEW_UPDATES',
    });
  });

  it('refuses a stale update that does not say what it started from', async () => {
    const { excluded } = await aggregateParameters(strategy, {
      global: model(0),
      updates: [...updates([model(1), 1], [model(1), 1]), { clientId: 'x', parameters: model(1), numExamples: 1, staleness: 1 }],
    });
    expect(excluded).toMatchObject([{ clientId: 'x', code: 'UPDATE_INCOMPLETE' }]);
  });

  it('refuses an update that started too long ago, by name', async () => {
    const { excluded } = await aggregateParameters(createStrategy({ name: 'fedbuff', bufferSize: 2, maxStaleness: 1 }), {
      global: model(0),
      updates: [...updates([model(1), 1], [model(1), 1]), { clientId: 'x', parameters: model(1), base: model(0), numExamples: 1, staleness: 2 }],
    });
    expect(excluded).toMatchObject([{ clientId: 'x', code: 'UPDATE_STALE', reason: expect.stringContaining('2 versions ago, and at most 1') as string }]);
  });

  it('is the only one that takes stale updates', async () => {
    const { excluded } = await aggregateParameters(createStrategy({ name: 'fedavg' }), {
      global: model(0),
      updates: [...updates([model(1), 1]), { clientId: 'x', parameters: model(5), base: model(4), numExamples: 1, staleness: 1 }],
    });
    expect(excluded).toMatchObject([{ clientId: 'x', code: 'UPDATE_STALE' }]);
  });
});

describe('updates of unequal numbers of steps', () => {
  // Two clients move by 1 in each step, one makes 10 steps and the other 2; n is 1 and 3.
  const uneven = [
    { clientId: 'fast', parameters: model(10), numExamples: 1, localSteps: 10 },
    { clientId: 'slow', parameters: model(2), numExamples: 3, localSteps: 2 },
  ];

  it('count per step in a mean by examples: the mean number of steps, of the mean step', async () => {
    const { parameters } = await aggregateParameters(createStrategy({ name: 'fedavg' }), { global: model(0), updates: uneven });
    expect(values(parameters)).toEqual([[(10 * 1 + 2 * 3) / 4]]);
    // One moves up, the other down, by as much in each step: nothing is left over, however many steps either makes.
    const opposed = [{ ...uneven[0]!, numExamples: 3 }, { ...uneven[1]!, parameters: model(-2) }];
    expect(values((await aggregateParameters(createStrategy({ name: 'fedprox' }), { global: model(0), updates: opposed })).parameters)).toEqual([[0]]);
  });

  it('count per step in a buffer, beside their staleness', async () => {
    const stale = [uneven[0]!, { ...uneven[1]!, parameters: model(-2 - 4), base: model(-4), staleness: 3 }];
    const { parameters } = await aggregateParameters(createStrategy({ name: 'fedbuff', bufferSize: 2 }), { global: model(0), updates: stale });
    expect(values(parameters)).toEqual([[(6 - 6 / 2) / 2]]);
  });

  it('change nothing where all made the same, and are refused where only some are told', async () => {
    const same = uneven.map((update) => ({ ...update, localSteps: 4 }));
    expect(values((await aggregateParameters(createStrategy({ name: 'fedavg' }), { global: model(0), updates: same })).parameters)).toEqual([[(10 + 3 * 2) / 4]]);
    const [first] = uneven;
    const some = [first!, { clientId: 'mute', parameters: model(1), numExamples: 1 }];
    await expect(aggregateParameters(createStrategy({ name: 'fedavg' }), { global: model(0), updates: some })).rejects.toMatchObject({ code: 'UPDATE_INCOMPLETE' });
  });
});

describe('minCompletionRate', () => {
  const round = (results: number, failures: number): Promise<unknown> =>
    aggregateParameters(createStrategy({ name: 'fault-tolerant-fedavg' }), {
      global: model(0),
      updates: updates(...Array.from({ length: results }, () => [model(1), 1] as const)),
      failures,
    });

  it('vector 13: of .5: one result and two failures do not count, one and one do', async () => {
    await expect(round(1, 2)).rejects.toMatchObject({ code: 'TOO_MANY_FAILURES' });
    await expect(round(1, 1)).resolves.toBeDefined();
  });

  it('counts refused updates as failures, with any strategy', async () => {
    const strategy = createStrategy({ name: 'fedmedian', minCompletionRate: 0.6 });
    const bad = updates([model(1), 1], [model(NaN), 1]);
    await expect(aggregateParameters(strategy, { global: model(0), updates: bad })).rejects.toMatchObject({ code: 'TOO_MANY_FAILURES' });
  });
});
