import { describe, expect, it } from 'vitest';
import { filled, model, updates, values } from '../test/arrays.ts';
import { aggregateParameters, createStrategy, type ParametersResult, type Strategy } from './index.ts';

const zeros = model([[0, 0, 0], [0, 0, 0]], [0, 0, 0, 0]);
const a = model([[1, 2, 3], [4, 5, 6]], [7, 8, 9, 10]);
const b = model([[29, 23, 19], [17, 13, 11]], [7, 5, 3, 2]);
const scaled = (factor: number): number[][] => values(a).map((tensor) => tensor.map((value) => value * factor));

/** Rounds of one client that always answers with the value given for the round; one scalar parameter. */
async function trajectory(strategy: Strategy, start: number, answers: readonly number[]): Promise<number[]> {
  const result: number[] = [];
  let last: Pick<ParametersResult, 'parameters' | 'state' | 'scalars'> = { parameters: model(start), state: null, scalars: {} };
  for (const [index, answer] of answers.entries()) {
    const { parameters, state, scalars } = last;
    last = await aggregateParameters(strategy, { round: index + 1, global: parameters, updates: updates([model(answer), 1]), state, scalars });
    result.push(last.parameters.get('0')!.data[0]!);
  }
  return result;
}

describe('fedadagrad', () => {
  it('vector 3: η .1, τ .5, from .1 with clients at .2 and 1.0 to .15', async () => {
    const global = model([0.1, 0.1, 0.1, 0.1]);
    const { parameters, state } = await aggregateParameters(createStrategy({ name: 'fedadagrad', learningRate: 0.1, tau: 0.5 }), {
      global,
      updates: updates([filled(global, 0.2), 5], [filled(global, 1), 5]),
    });
    for (const value of parameters.get('0')!.data) expect(value).toBeCloseTo(0.15, 7);
    for (const value of state!.get('second_moment/0')!.data) expect(value).toBeCloseTo(0.25, 6);
  });

  it('accumulates squares from round to round', async () => {
    const path = await trajectory(createStrategy({ name: 'fedadagrad', learningRate: 1, tau: 1 }), 0, [2, 3]);
    const first = 2 / (2 + 1);
    expect(path[0]).toBeCloseTo(first, 6);
    expect(path[1]).toBeCloseTo(first + (3 - first) / (Math.sqrt(4 + (3 - first) ** 2) + 1), 6);
  });
});

describe('fedavgm', () => {
  it('vector 4: learning rate 1 and no momentum is the weighted mean', async () => {
    const { parameters } = await aggregateParameters(createStrategy({ name: 'fedavgm' }), { global: zeros, updates: updates([a, 1], [b, 2]) });
    const expected = [[19.66667, 16, 13.66667, 12.66667, 10.33333, 9.33333], [7, 6, 5, 4.66667]];
    for (const [index, tensor] of values(parameters).entries()) {
      for (const [at, value] of tensor.entries()) expect(value).toBeCloseTo(expected[index]![at]!, 4);
    }
  });

  it('vector 4: scalars 1 (n 1) and 3 (n 2) give 7/3, still a scalar', async () => {
    const { parameters } = await aggregateParameters(createStrategy({ name: 'fedavgm' }), { global: model(0), updates: updates([model(1), 1], [model(3), 2]) });
    expect(parameters.get('0')!.shape).toEqual([]);
    expect(parameters.get('0')!.data[0]).toBeCloseTo(7 / 3, 6);
  });

  it('starts its momentum at the first difference and keeps it', async () => {
    // g₁ = 0 − 2, v₁ = −2, w = 2; g₂ = 2 − 2 = 0, v₂ = −1, w = 3; g₃ = 3 − 2, v₃ = .5, w = 2.5
    expect(await trajectory(createStrategy({ name: 'fedavgm', momentum: 0.5 }), 0, [2, 2, 2])).toEqual([2, 3, 2.5]);
  });
});

describe('fedmom', () => {
  it('vector 5: lr 1, β .5: client a alone gives 1.5a, then 2a gives 2.5a', async () => {
    const strategy = createStrategy({ name: 'fedmom', learningRate: 1, momentum: 0.5 });
    const first = await aggregateParameters(strategy, { global: zeros, updates: updates([a, 3]) });
    expect(values(first.parameters)).toEqual(scaled(1.5));
    const double = new Map([...a].map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => 2 * value) }]));
    const second = await aggregateParameters(strategy, {
      round: 2,
      global: first.parameters,
      updates: updates([double, 3]),
      state: first.state,
      scalars: first.scalars,
    });
    expect(values(second.parameters)).toEqual(scaled(2.5));
  });

  it('diloco is the same with lr .7, β .9', async () => {
    const answers = [1, -2, 5];
    const expected = await trajectory(createStrategy({ name: 'fedmom', learningRate: 0.7, momentum: 0.9 }), 0.5, answers);
    expect(await trajectory(createStrategy({ name: 'diloco' }), 0.5, answers)).toEqual(expected);
  });
});

describe('fedadam', () => {
  it('corrects the bias as Flower does, by t + 1', async () => {
    const [eta, beta1, beta2, tau] = [0.1, 0.9, 0.99, 1e-3];
    const path = await trajectory(createStrategy({ name: 'fedadam' }), 0, [1, 2, -1]);
    let [w, m, v] = [0, 0, 0];
    for (const [index, answer] of [1, 2, -1].entries()) {
      const delta = answer - w;
      m = beta1 * m + (1 - beta1) * delta;
      v = beta2 * v + (1 - beta2) * delta ** 2;
      const corrected = (eta * Math.sqrt(1 - beta2 ** (index + 2))) / (1 - beta1 ** (index + 2));
      w += (corrected * m) / (Math.sqrt(v) + tau);
      expect(path[index]).toBeCloseTo(w, 5);
    }
  });
});

describe('fedyogi', () => {
  it('moves the second moment by its sign, without bias correction', async () => {
    const [eta, beta1, beta2, tau] = [0.01, 0.9, 0.99, 1e-3];
    const path = await trajectory(createStrategy({ name: 'fedyogi' }), 0, [1, 2, 0.001]);
    let [w, m, v] = [0, 0, 0];
    for (const [index, answer] of [1, 2, 0.001].entries()) {
      const delta = answer - w;
      m = beta1 * m + (1 - beta1) * delta;
      v -= (1 - beta2) * delta ** 2 * Math.sign(v - delta ** 2);
      w += (eta * m) / (Math.sqrt(v) + tau);
      expect(path[index]).toBeCloseTo(w, 6);
    }
  });
});

it('an optimiser that diverges says so', async () => {
  const global = model([3e38]);
  const round = aggregateParameters(createStrategy({ name: 'fedavgm', learningRate: 5 }), { global, updates: updates([model([-3e38]), 1]) });
  await expect(round).rejects.toMatchObject({ code: 'NON_FINITE_RESULT' });
});

it('a round after the first without its state is refused', async () => {
  const round = aggregateParameters(createStrategy({ name: 'fedadam' }), { global: model(0), updates: updates([model(1), 1]), scalars: { step: 3 } });
  await expect(round).rejects.toMatchObject({ code: 'STATE_MISMATCH' });
});

describe('state that would not be finite', () => {
  it.each(['fedadagrad', 'fedadam', 'fedyogi'] as const)('is never kept: %s refuses the round in which absurd values would freeze a coordinate', async (name) => {
    const round = aggregateParameters(createStrategy({ name }), { global: model([0, 0]), updates: updates([model([1, 1]), 1], [model([1, 3e38]), 1]) });
    await expect(round).rejects.toMatchObject({ code: 'NON_FINITE_RESULT' });
  });
});
