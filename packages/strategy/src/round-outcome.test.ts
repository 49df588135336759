import { CancelledError } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { model, updates } from '../test/arrays.ts';
import { aggregateParameters, createStrategy, roundOutcome, selectClients, UpdateRejectedError } from './index.ts';

const outcomeOf = async (work: () => unknown): Promise<unknown> => {
  try {
    await work();
  } catch (error) {
    return roundOutcome(error);
  }
  return 'no error';
};

describe('roundOutcome', () => {
  const two = updates([model(1), 1], [model(2), 1]);
  const context = { round: 2, totalRounds: 9, clientIds: ['a', 'b'], learningRate: 1, history: [] };

  it('skips a round with too few updates or too many failures', async () => {
    const krum = createStrategy({ name: 'krum', malicious: 1 });
    expect(await outcomeOf(() => aggregateParameters(krum, { global: model(0), updates: two }))).toBe('skip');
    const tolerant = createStrategy({ name: 'fault-tolerant-fedavg' });
    expect(await outcomeOf(() => aggregateParameters(tolerant, { global: model(0), updates: two, failures: 3 }))).toBe('skip');
    expect(await outcomeOf(() => aggregateParameters(tolerant, { global: model(0), updates: two, failures: 2 }))).toBe('no error');
  });

  it('skips a round whose result is not finite: one client’s absurd values suffice for that', async () => {
    const adam = createStrategy({ name: 'fedadam' });
    const absurd = updates([model(1), 1], [model(3e38), 1]);
    expect(await outcomeOf(() => aggregateParameters(adam, { global: model(0), updates: absurd }))).toBe('skip');
  });

  it('finishes a run whose privacy budget is spent', async () => {
    const strategy = createStrategy({ name: 'dp-fixed', noiseMultiplier: 1, clippingNorm: 1, budget: { epsilon: 1, delta: 1e-5 } });
    expect(await outcomeOf(() => strategy.configureFit({ ...context, scalars: {} }))).toBe('finish');
  });

  it('waits for clients', async () => {
    expect(await outcomeOf(() => selectClients({ available: [{ clientId: 'a' }], minClients: 2, seed: 1, round: 1 }))).toBe('wait');
    const adaptive = createStrategy({ name: 'dp-adaptive', noiseMultiplier: 1 });
    expect(await outcomeOf(() => adaptive.configureFit({ ...context, scalars: {} }))).toBe('wait');
  });

  it('fails a run that cannot go on', async () => {
    const dp = createStrategy({ name: 'dp-fixed', noiseMultiplier: 1, clippingNorm: 1 });
    expect(await outcomeOf(() => aggregateParameters(dp, { global: model(0), updates: two }))).toBe('fail');
    expect(await outcomeOf(() => dp.configureFit({ ...context, scalars: { ledger: 'x' } }))).toBe('no error');
    expect(await outcomeOf(() => createStrategy({ name: 'unknown' }))).toBe('fail');
    const momentum = createStrategy({ name: 'fedmom' });
    expect(await outcomeOf(() => aggregateParameters(momentum, { global: model(0), updates: two, scalars: { step: 1 } }))).toBe('fail');
  });

  it('has no say about anything else', () => {
    for (const error of [new UpdateRejectedError('UPDATE_NON_FINITE', 'a', 'x'), new CancelledError('x'), new Error('EIO'), undefined]) {
      expect(roundOutcome(error)).toBeNull();
    }
  });
});
