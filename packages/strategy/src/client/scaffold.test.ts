import { type Parameters } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { model, values } from '../../test/arrays.ts';
import { aggregateParameters, createStrategy, scaffoldControl, scaffoldCorrection, type ParametersUpdate } from '../index.ts';

describe('scaffold', () => {
  const strategy = createStrategy({ name: 'scaffold' });

  it('corrects gradients by c − c_k', () => {
    const parameters = model([1, 2]);
    expect(values(scaffoldCorrection({ server: null, client: null }, parameters))).toEqual([[0, 0]]);
    expect(values(scaffoldCorrection({ server: model([5, 7]), client: model([1, 1]) }, parameters))).toEqual([[4, 6]]);
  });

  it('updates control variates by the formula', () => {
    const control = { server: model([0.5]), client: model([2]) };
    const { client, change } = scaffoldControl(control, { global: model([10]), local: model([4]), steps: 3, learningRate: 0.5 });
    // 2 − 0.5 + 6/(3·0.5)
    expect(values(client)).toEqual([[5.5]]);
    expect(values(change)).toEqual([[3.5]]);
  });

  it('adds the mean change, scaled by the part of the population that took part, to the server’s control variate', async () => {
    const update = (clientId: string, weight: number, control: number): ParametersUpdate => ({
      clientId,
      parameters: model([weight]),
      numExamples: 1,
      control: model([control]),
    });
    const first = await aggregateParameters(strategy, { global: model([0]), updates: [update('a', 2, 4), update('b', 4, 8)], population: 8 });
    expect(values(first.parameters)).toEqual([[3]]);
    // (2/8)·mean(4, 8)
    expect(values(first.state!)).toHaveLength(1);
    expect([...first.state!.get('control/0')!.data]).toEqual([1.5]);
    const { state, scalars, parameters } = first;
    const second = await aggregateParameters(strategy, { round: 2, global: parameters, updates: [update('a', 3, -4)], state, scalars, population: 8 });
    expect([...second.state!.get('control/0')!.data]).toEqual([1]);
    expect(strategy.broadcastState).toEqual(['control']);
  });

  it('leaves out clients without a control variate', async () => {
    const { excluded } = await aggregateParameters(strategy, {
      global: model([0]),
      updates: [
        { clientId: 'a', parameters: model([1]), numExamples: 1, control: model([1]) },
        { clientId: 'b', parameters: model([1]), numExamples: 1 },
        { clientId: 'c', parameters: model([1]), numExamples: 1, control: model([NaN]) },
      ],
    });
    expect(excluded).toMatchObject([
      { clientId: 'b', code: 'UPDATE_INCOMPLETE' },
      { clientId: 'c', code: 'UPDATE_NON_FINITE' },
    ]);
  });

  it('takes clients that disagree to the joint optimum, where FedAvg with as many local steps does not', async () => {
    // Client k minimises a_k/2·(x − b_k)²; the joint optimum is Σ a_k b_k / Σ a_k.
    const clients = [{ id: 'a', curvature: 1, centre: -1 }, { id: 'b', curvature: 8, centre: 1 }];
    const optimum = 7 / 9;
    const [steps, learningRate] = [20, 0.05];
    const run = async (name: 'scaffold' | 'fedavg'): Promise<number> => {
      const subject = createStrategy({ name });
      const own = new Map<string, Parameters>();
      let last: { parameters: Parameters; state: Parameters | null; scalars: object } = { parameters: model([5]), state: null, scalars: {} };
      for (let round = 1; round <= 60; round++) {
        const server = last.state === null ? null : new Map([['0', last.state.get('control/0')!]]);
        const results = clients.map(({ id, curvature, centre }): ParametersUpdate => {
          const control = { server, client: own.get(id) ?? null };
          const correction = name === 'scaffold' ? scaffoldCorrection(control, last.parameters).get('0')!.data[0]! : 0;
          let x = last.parameters.get('0')!.data[0]!;
          for (let step = 0; step < steps; step++) x -= learningRate * (curvature * (x - centre) + correction);
          const local = model([x]);
          if (name === 'fedavg') return { clientId: id, parameters: local, numExamples: 1 };
          const { client, change } = scaffoldControl(control, { global: last.parameters, local, steps, learningRate });
          own.set(id, client);
          return { clientId: id, parameters: local, numExamples: 1, control: change };
        });
        last = await aggregateParameters(subject, { round, global: last.parameters, updates: results, state: last.state, scalars: {} });
      }
      return last.parameters.get('0')!.data[0]!;
    };
    expect(await run('scaffold')).toBeCloseTo(optimum, 3);
    expect(Math.abs((await run('fedavg')) - optimum)).toBeGreaterThan(0.1);
  });
});
