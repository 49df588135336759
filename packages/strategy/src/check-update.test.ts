import { MemoryTensorSource, type Parameters } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { model } from '../test/arrays.ts';
import { checkUpdate, createStrategy, aggregateParameters, type ClientUpdate, type ParametersUpdate, type UpdateGuards } from './index.ts';

const global = MemoryTensorSource.fromParameters(model([1, 2, 3], [[4]]));
const good = model([1, 2, 4], [[5]]);

function update(change: Partial<ClientUpdate> & { readonly parameters?: Parameters } = {}): ClientUpdate {
  const { parameters = good, ...rest } = change;
  return { clientId: 'arm-7', numExamples: 3, metrics: { loss: 1 }, tensors: MemoryTensorSource.fromParameters(parameters), ...rest };
}

const check = (change: Parameters0, guards: UpdateGuards = {}): Promise<unknown> => checkUpdate(update(change), { global, guards });
type Parameters0 = Partial<ClientUpdate> & { readonly parameters?: Parameters };

describe('checkUpdate', () => {
  it('returns the norm of the change over all tensors', async () => {
    await expect(check({})).resolves.toEqual({ norm: Math.SQRT2 });
  });

  it.each([
    ['a NaN', { parameters: model([1, NaN, 3], [[4]]) }, 'UPDATE_NON_FINITE', '0', 'element 1'],
    ['an infinity', { parameters: model([1, 2, 3], [[-Infinity]]) }, 'UPDATE_NON_FINITE', '1', 'element 0'],
    ['a missing tensor', { parameters: model([1, 2, 3]) }, 'UPDATE_MISSING_TENSOR', '1', 'does not have it'],
    ['a tensor too many', { parameters: model([1, 2, 3], [[4]], 5) }, 'UPDATE_UNKNOWN_TENSOR', '2', 'do not have it'],
    ['another shape', { parameters: model([1, 2, 3], [4]) }, 'UPDATE_WRONG_SHAPE', '1', 'shape [1], not [1, 1]'],
    ['no examples', { numExamples: 0 }, 'UPDATE_BAD_EXAMPLE_COUNT', undefined, '0 is not'],
    ['negative examples', { numExamples: -2 }, 'UPDATE_BAD_EXAMPLE_COUNT', undefined, '-2 is not'],
    ['half an example', { numExamples: 0.5 }, 'UPDATE_BAD_EXAMPLE_COUNT', undefined, '0.5 is not'],
    ['absurdly many examples', { numExamples: 1e15 }, 'UPDATE_BAD_EXAMPLE_COUNT', undefined, 'not a possible number'],
    ['more examples than it declared', { numExamples: 51, maxExamples: 50 }, 'UPDATE_BAD_EXAMPLE_COUNT', undefined, 'it claims 51 examples, and had 50 when it joined'],
    ['a NaN metric', { metrics: { loss: NaN } }, 'UPDATE_BAD_METRIC', undefined, 'metric loss'],
  ])('refuses %s', async (_what, change, code, tensor, message) => {
    const failure = check(change);
    await expect(failure).rejects.toMatchObject({ code, clientId: 'arm-7', tensor });
    await expect(failure).rejects.toThrow(/client arm-7/);
    await expect(failure).rejects.toThrow(message);
  });

  it('refuses another dtype unless the run negotiated it', async () => {
    const half = new MemoryTensorSource([
      { name: '0', dtype: 'BF16', shape: [3], data: new Uint8Array(6) },
      { name: '1', dtype: 'BF16', shape: [1, 1], data: new Uint8Array(2) },
    ]);
    await expect(check({ tensors: half })).rejects.toMatchObject({ code: 'UPDATE_WRONG_DTYPE', tensor: '0' });
    await expect(check({ tensors: half }, { acceptedDtypes: ['BF16'] })).resolves.toEqual({ norm: Math.sqrt(30) });
  });

  it('refuses a norm above the guard', async () => {
    await expect(check({}, { maxUpdateNorm: 1.4 })).rejects.toMatchObject({ code: 'UPDATE_NORM_TOO_LARGE' });
    await expect(check({}, { maxUpdateNorm: 1.5 })).resolves.toBeDefined();
  });
});

describe('a round with bad updates', () => {
  const strategy = createStrategy({ name: 'fedavg' });

  it('leaves out who claims more examples than it declared, so that nobody owns the mean', async () => {
    const entry = (clientId: string, value: number, numExamples: number, maxExamples: number): ParametersUpdate => ({ clientId, parameters: model(value), numExamples, maxExamples });
    const result = await aggregateParameters(strategy, {
      global: model(0),
      updates: [entry('anna', 1, 100, 100), entry('ben', 3, 300, 300), entry('mallory', 1000, 1e12, 200)],
    });
    expect(result.parameters.get('0')!.data[0]).toBe(2.5);
    expect(result.excluded).toMatchObject([{ clientId: 'mallory', code: 'UPDATE_BAD_EXAMPLE_COUNT' }]);
  });

  it('goes on without them and says so', async () => {
    const result = await aggregateParameters(strategy, {
      global: model([0, 0]),
      updates: [
        { clientId: 'b', parameters: model([2, 4]), numExamples: 1 },
        { clientId: 'nan', parameters: model([NaN, 4]), numExamples: 1 },
        { clientId: 'a', parameters: model([4, 8]), numExamples: 1 },
        { clientId: 'a', parameters: model([100, 100]), numExamples: 1 },
      ],
    });
    expect([...result.parameters.get('0')!.data]).toEqual([3, 6]);
    expect(result.excluded).toMatchObject([
      { clientId: 'a', code: 'UPDATE_DUPLICATE_CLIENT' },
      { clientId: 'nan', code: 'UPDATE_NON_FINITE' },
    ]);
  });

  it('finds them among updates that nobody has read, whichever rule would have folded them', async () => {
    const configs = [{ name: 'fedmedian' }, { name: 'multikrum', keep: 2 }, { name: 'fedadam' }, { name: 'qfedavg', learningRate: 1 }] as const;
    for (const config of configs) {
      const updates = ['a', 'b', 'c'].map((clientId, index) => ({
        clientId,
        parameters: model([2 + index, 4 - index]),
        numExamples: 1,
        metrics: { loss: 1 },
      }));
      const bad = { clientId: 'infinite', parameters: model([1, Infinity]), numExamples: 1, metrics: { loss: 1 } };
      const input = { global: model([0, 0]), updates };
      const clean = await aggregateParameters(createStrategy(config), input);
      const mixed = await aggregateParameters(createStrategy(config), { ...input, updates: [bad, ...updates] });
      expect(mixed.parameters).toEqual(clean.parameters);
      expect(mixed.state).toEqual(clean.state);
      expect(mixed.excluded.filter(({ code }) => code !== 'NOT_CHOSEN')).toMatchObject([{ clientId: 'infinite', code: 'UPDATE_NON_FINITE' }]);
    }
  });

  it('does not count when none is left', async () => {
    const round = aggregateParameters(strategy, {
      global: model([0]),
      updates: [{ clientId: 'a', parameters: model([NaN]), numExamples: 1 }],
    });
    await expect(round).rejects.toMatchObject({ code: 'TOO_FEW_UPDATES' });
  });
});
