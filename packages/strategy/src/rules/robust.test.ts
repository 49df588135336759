import { Random, type Parameters } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { filled, model, updates, values } from '../../test/arrays.ts';
import { aggregateParameters, createStrategy, type ParametersResult, type StrategyConfigInput } from '../index.ts';

/** Aggregates scalars or whole models with equal example counts, starting from zero. */
function aggregate(config: StrategyConfigInput, ...clients: readonly (number | Parameters)[]): Promise<ParametersResult> {
  const models = clients.map((client) => (typeof client === 'number' ? model(client) : client));
  return aggregateParameters(createStrategy(config), {
    global: filled(models[0]!, 0),
    updates: updates(...models.map((parameters) => [parameters, 5] as const)),
  });
}

const scalar = async (config: StrategyConfigInput, ...clients: readonly number[]): Promise<number> =>
  (await aggregate(config, ...clients)).parameters.get('0')!.data[0]!;

const arrays = [[0.5, 0.5, 0.5, 0.5], [1, 0.2, 0.5, 1], [0.2, 0.5, 1, 0.2], [0.5, 1, 0.2, 0.5]];

describe('fedmedian', () => {
  it('vector 6: three scalars, three arrays', async () => {
    expect(await scalar({ name: 'fedmedian' }, 0.2, 1, 0.5)).toBeCloseTo(0.5, 7);
    expect(await scalar({ name: 'fedmedian' }, 1, 3, 2)).toBe(2);
    const { parameters } = await aggregate({ name: 'fedmedian' }, ...arrays.slice(1).map((array) => model(array)));
    expect(values(parameters)).toEqual([[0.5, 0.5, 0.5, 0.5]]);
  });

  it('takes the middle of the two middle values of an even number', async () => {
    expect(await scalar({ name: 'fedmedian' }, 1, 100, 2, 4)).toBe(3);
  });

  it('does not weigh by examples', async () => {
    const { parameters } = await aggregateParameters(createStrategy({ name: 'fedmedian' }), {
      global: model(0),
      updates: updates([model(1), 1], [model(2), 1], [model(9), 1000]),
    });
    expect(values(parameters)).toEqual([[2]]);
  });
});

describe('fedtrimmedavg', () => {
  it('vector 7: β .25 of four arrays, of four scalars', async () => {
    const { parameters } = await aggregate({ name: 'fedtrimmedavg', beta: 0.25 }, ...arrays.map((array) => model(array)));
    expect(values(parameters)).toEqual([[0.5, 0.5, 0.5, 0.5]]);
    expect(await scalar({ name: 'fedtrimmedavg', beta: 0.25 }, 0.5, 1, 2, 100)).toBe(1.5);
  });

  it('is the plain mean when nothing is cut', async () => {
    expect(await scalar({ name: 'fedtrimmedavg', beta: 0.2 }, 1, 2, 3, 10)).toBe(4);
  });
});

describe('krum', () => {
  it('vector 8: f 1: of .2, .7, 1.0 it takes .7', async () => {
    const { parameters, excluded } = await aggregate({ name: 'krum', malicious: 1 }, 0.2, 0.7, 1);
    expect(parameters.get('0')!.data[0]).toBe(Math.fround(0.7));
    expect(excluded).toMatchObject([{ clientId: 'client-00', code: 'NOT_CHOSEN' }, { clientId: 'client-02' }]);
  });

  it('vector 8: multikrum f 1 m 2: of .2, .5, 1.0 it averages the first two', async () => {
    expect(await scalar({ name: 'multikrum', malicious: 1, keep: 2 }, 0.2, 0.5, 1)).toBeCloseTo(0.35, 7);
  });

  it('vector 8: seven honest and three bad updates, f 3, m 5: only honest ones', async () => {
    const random = new Random('bulyan');
    const base = Array.from({ length: 1000 }, () => 10 * random.normal());
    const near = (std: number): Parameters => model(base.map((value) => value + std * random.normal()));
    const clients = [...Array.from({ length: 7 }, () => near(1e-4)), ...Array.from({ length: 3 }, () => near(3e-4))];
    const { excluded } = await aggregate({ name: 'multikrum', malicious: 3, keep: 5 }, ...clients);
    expect(excluded).toHaveLength(5);
    expect(excluded.map(({ clientId }) => clientId)).toEqual(expect.arrayContaining(['client-07', 'client-08', 'client-09']));
  });

  it.each([
    // With 2, 4 or 5 neighbours instead of n − f − 2 = 3, another one is nearest: 3, 13 and 12.
    [[12, 19, 17, 3, 2, 6, 13], 17],
    // 18, 7 and 8.
    [[2, 0, 7, 18, 20, 8, 14], 2],
    // 3, 5 and 11.
    [[19, 1, 16, 11, 5, 3, 12], 16],
  ])('looks at the n − f − 2 nearest: f 2, %j → %f', async (clients, chosen) => {
    expect(await scalar({ name: 'krum', malicious: 2 }, ...clients)).toBe(chosen);
  });

  it('looks at one neighbour at least: of the nearest pair, the first by client id', async () => {
    // By two neighbours 1 would be chosen, which lies in the middle.
    expect(await scalar({ name: 'krum', malicious: 1 }, 2, 1, -1)).toBe(2);
  });

  it('takes the first by client id of equal scores', async () => {
    const { excluded } = await aggregate({ name: 'multikrum', malicious: 1, keep: 2 }, 5, 1, 5, 1);
    expect(excluded.map(({ clientId }) => clientId)).toEqual(['client-02', 'client-03']);
  });

  it('weighs the chosen by examples', async () => {
    const { parameters } = await aggregateParameters(createStrategy({ name: 'multikrum', keep: 2 }), {
      global: model(0),
      updates: updates([model(1), 1], [model(2), 3], [model(50), 1]),
    });
    expect(values(parameters)).toEqual([[1.75]]);
  });

  it('refuses fewer updates than it needs', async () => {
    await expect(aggregate({ name: 'multikrum', malicious: 1, keep: 2 }, 1, 2)).rejects.toMatchObject({ code: 'TOO_FEW_UPDATES' });
  });
});

describe('bulyan', () => {
  it('vector 9: f 0 is the mean', async () => {
    expect(await scalar({ name: 'bulyan' }, 0.2, 0.5, 0.7, 12, 0.1, 0.1)).toBeCloseTo(13.6 / 6, 6);
  });

  it('keeps to the honest ones, f 1 of 7', async () => {
    // Chosen: the five nearest one another; of these, the three nearest their median 3.
    expect(await scalar({ name: 'bulyan', malicious: 1 }, 1, 2, 3, 4, 5, 1000, -1000)).toBe(3);
  });

  it('needs n ≥ 4f + 3', async () => {
    const round = aggregate({ name: 'bulyan', malicious: 1 }, 1, 2, 3, 4, 5, 6);
    await expect(round).rejects.toMatchObject({ code: 'TOO_FEW_UPDATES' });
    await expect(round).rejects.toThrow('6 usable updates, bulyan needs 7');
  });
});

describe('meamed', () => {
  it('vector 11: c 2 and c 3 of .2, 1, .5', async () => {
    expect(await scalar({ name: 'meamed', count: 2 }, 0.2, 1, 0.5)).toBeCloseTo(0.35, 7);
    expect(await scalar({ name: 'meamed', count: 3 }, 0.2, 1, 0.5)).toBeCloseTo(0.5666667, 7);
  });

  it('needs as many updates as it averages', async () => {
    await expect(aggregate({ name: 'meamed', count: 3 }, 1, 2)).rejects.toMatchObject({ code: 'TOO_FEW_UPDATES' });
  });
});
