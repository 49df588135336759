import { elementCount, MemoryTensorSource, type Parameters, type TensorSource } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { model, values } from '../../test/arrays.ts';
import {
  aggregateParameters,
  checkUpdate,
  createStrategy,
  scaffoldChange,
  scaffoldControl,
  scaffoldCorrection,
  serverControl,
  type ParametersUpdate,
} from '../index.ts';

const source = (parameters: Parameters): MemoryTensorSource => MemoryTensorSource.fromParameters(parameters);

async function read(tensors: TensorSource): Promise<Parameters> {
  const found = new Map<string, Parameters extends ReadonlyMap<string, infer T> ? T : never>();
  for (const { name, shape } of tensors.specs) {
    const data = new Float32Array(elementCount(shape));
    await tensors.readBytes(name, 0, new Uint8Array(data.buffer));
    found.set(name, { shape, data });
  }
  return found;
}

describe('scaffold', () => {
  const strategy = createStrategy({ name: 'scaffold' });

  it('corrects gradients by c − c_k', async () => {
    const { specs } = source(model([1, 2]));
    expect(values(await read(scaffoldCorrection({ server: null, client: null }, specs)))).toEqual([[0, 0]]);
    const server = serverControl(source(new Map([['control/0', model([5, 7]).get('0')!], ['momentum/0', model([9, 9]).get('0')!]])));
    expect(values(await read(scaffoldCorrection({ server, client: source(model([1, 1])) }, specs)))).toEqual([[4, 6]]);
  });

  it('updates control variates by the formula', async () => {
    const control = { server: source(model([0.5])), client: source(model([2])) };
    const next = await read(scaffoldControl(control, { global: source(model([10])), local: source(model([4])), steps: 3, learningRate: 0.5 }));
    // 2 − 0.5 + 6/(3·0.5)
    expect(values(next)).toEqual([[5.5]]);
    expect(values(await read(scaffoldChange(source(next), control.client)))).toEqual([[3.5]]);
    expect(values(await read(scaffoldChange(source(next), null)))).toEqual([[5.5]]);
  });

  it('reads any piece of a tensor that is larger than what is computed at once', async () => {
    const length = 150_000;
    const tensor = (factor: number): Parameters => new Map([['0', { shape: [length], data: new Float32Array(length).map((_, index) => factor * index) }]]);
    const difference = scaffoldChange(source(tensor(3)), source(tensor(1)));
    const piece = new Float32Array(70_001);
    await difference.readBytes('0', 4 * 79_000, new Uint8Array(piece.buffer));
    expect(piece.every((value, index) => value === 2 * (79_000 + index))).toBe(true);
    await expect(difference.readBytes('0', 2, new Uint8Array(4))).rejects.toThrow('not values of it');
    await expect(difference.readBytes('0', 4 * length, new Uint8Array(4))).rejects.toThrow('not values of it');
    expect(() => scaffoldChange(source(tensor(3)), source(model([1])))).toThrow('tensor 0 is missing, or not float32 [150000]');
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

  it('keeps the server’s control variate the mean of all clients’ when clients join, and never forgets one', async () => {
    const own = new Map<string, number>();
    let last: { parameters: Parameters; state: Parameters | null; scalars: object } = { parameters: model([0]), state: null, scalars: {} };
    const rounds: [clients: string[], population: number][] = [[['a', 'b'], 2], [['a', 'b', 'c'], 3], [['c'], 1], [['a', 'd'], 4]];
    for (const [index, [clients, population]] of rounds.entries()) {
      const updates = clients.map((clientId, at): ParametersUpdate => {
        const next = 1 + index * 3 + at * at;
        const change = next - (own.get(clientId) ?? 0);
        own.set(clientId, next);
        return { clientId, parameters: model([1]), numExamples: 1, control: model([change]) };
      });
      last = await aggregateParameters(strategy, { round: index + 1, global: last.parameters, updates, state: last.state, scalars: last.scalars as never, population });
      const mean = [...own.values()].reduce((sum, value) => sum + value) / own.size;
      expect(last.state!.get('control/0')!.data[0]).toBeCloseTo(mean, 5);
    }
  });

  it('leaves out clients without a control variate', async () => {
    const { excluded } = await aggregateParameters(strategy, {
      global: model([0]),
      updates: [
        { clientId: 'a', parameters: model([1]), numExamples: 1, control: model([1]) },
        { clientId: 'b', parameters: model([1]), numExamples: 1 },
        { clientId: 'c', parameters: model([1]), numExamples: 1, control: model([NaN]) },
        { clientId: 'd', parameters: model([1]), numExamples: 1, control: model([1, 2]) },
        { clientId: 'e', parameters: model([1]), numExamples: 1, control: model([1e30]) },
      ],
    });
    expect(excluded).toMatchObject([
      { clientId: 'b', code: 'UPDATE_INCOMPLETE' },
      { clientId: 'c', code: 'UPDATE_NON_FINITE', reason: expect.stringContaining('client c, tensor control/0') as string },
      { clientId: 'd', code: 'UPDATE_WRONG_SHAPE', reason: expect.stringContaining('tensor control/0') as string },
      { clientId: 'e', code: 'UPDATE_NORM_TOO_LARGE' },
    ]);
    const guarded = createStrategy({ name: 'scaffold', guards: { maxControlNorm: 2 } });
    const update = { clientId: 'a', numExamples: 1, metrics: {}, tensors: source(model([1])), control: source(model([3])) };
    await expect(checkUpdate(update, { global: source(model([0])), guards: guarded.guards })).rejects.toThrow(/client a: .*control variate.* norm is 3.00000/);
  });

  it('takes clients that disagree to the joint optimum, where FedAvg with as many local steps does not', async () => {
    // Client k minimises a_k/2·(x − b_k)²; the joint optimum is Σ a_k b_k / Σ a_k.
    const clients = [{ id: 'a', curvature: 1, centre: -1 }, { id: 'b', curvature: 8, centre: 1 }];
    const optimum = 7 / 9;
    const [steps, learningRate] = [20, 0.05];
    const run = async (name: 'scaffold' | 'fedavg'): Promise<number> => {
      const subject = createStrategy({ name });
      const own = new Map<string, MemoryTensorSource>();
      let last: { parameters: Parameters; state: Parameters | null; scalars: object } = { parameters: model([5]), state: null, scalars: {} };
      for (let round = 1; round <= 60; round++) {
        const server = last.state === null ? null : new Map([['0', last.state.get('control/0')!]]);
        const results = clients.map(async ({ id, curvature, centre }): Promise<ParametersUpdate> => {
          const control = { server: server === null ? null : source(server), client: own.get(id) ?? null };
          const global = source(last.parameters);
          const correction = name === 'scaffold' ? values(await read(scaffoldCorrection(control, global.specs)))[0]![0]! : 0;
          let x = last.parameters.get('0')!.data[0]!;
          for (let step = 0; step < steps; step++) x -= learningRate * (curvature * (x - centre) + correction);
          const local = model([x]);
          if (name === 'fedavg') return { clientId: id, parameters: local, numExamples: 1 };
          const next = source(await read(scaffoldControl(control, { global, local: source(local), steps, learningRate })));
          own.set(id, next);
          return { clientId: id, parameters: local, numExamples: 1, control: await read(scaffoldChange(next, control.client)) };
        });
        last = await aggregateParameters(subject, { round, global: last.parameters, updates: await Promise.all(results), state: last.state, scalars: {} });
      }
      return last.parameters.get('0')!.data[0]!;
    };
    expect(await run('scaffold')).toBeCloseTo(optimum, 3);
    expect(Math.abs((await run('fedavg')) - optimum)).toBeGreaterThan(0.1);
  });
});
