import { describe, expect, it } from 'vitest';
import { createStrategy, StrategyConfigError } from './index.ts';

const refused = (config: unknown): string => {
  try {
    createStrategy(config as { name: string });
  } catch (error) {
    if (error instanceof StrategyConfigError) return error.message;
    throw error;
  }
  throw new Error(`accepted ${JSON.stringify(config)}`);
};

describe('composition', () => {
  it('takes privacy around an optimiser around a robust rule', () => {
    const strategy = createStrategy({
      name: 'dp-fixed',
      noiseMultiplier: 1,
      clippingNorm: 0.5,
      inner: { name: 'fedavgm', momentum: 0.9, inner: { name: 'fedtrimmedavg', beta: 0.1 } },
    });
    expect(strategy.name).toBe('dp-fixed(fedavgm(fedtrimmedavg))');
    expect(strategy.stateSpecs([{ name: 'w', dtype: 'BF16', shape: [2] }])).toEqual([{ name: 'momentum/w', dtype: 'F32', shape: [2] }]);
  });

  it('lets FedProx’s μ through every wrapper', () => {
    const context = { round: 1, totalRounds: 1, clientIds: ['a'], learningRate: 1, history: [], scalars: {} };
    const strategy = createStrategy({
      name: 'dp-fixed',
      noiseMultiplier: 1,
      clippingNorm: 1,
      inner: { name: 'fedadam', inner: { name: 'fedprox', proximalMu: 0.3 } },
    });
    expect(strategy.configureFit(context).clients.get('a')).toEqual({ learningRate: 1, proximalMu: 0.3 });
  });

  const dp = { name: 'dp-fixed', noiseMultiplier: 1, clippingNorm: 1 };
  it.each([
    ['an optimiser around privacy', { name: 'fedavgm', inner: dp }, 'before anything else sees the updates'],
    ['privacy around privacy', { ...dp, inner: dp }, 'before anything else sees the updates'],
    ['two optimisers', { name: 'fedadam', inner: { name: 'fedmom' } }, 'the server’s step'],
    ['an optimiser around q-FedAvg', { name: 'fedadam', inner: { name: 'qfedavg', learningRate: 1 } }, 'step size'],
    ['privacy around krum', { ...dp, inner: { name: 'krum' } }, 'one chosen update whole'],
    ['privacy around multikrum in an optimiser', { ...dp, inner: { name: 'fedavgm', inner: { name: 'multikrum' } } }, 'clipping does not bound'],
    ['privacy around bulyan', { ...dp, inner: { name: 'bulyan' } }, 'clipping does not bound'],
    ['privacy around meamed', { ...dp, inner: { name: 'meamed' } }, 'clipping does not bound'],
    ['privacy around q-FedAvg', { ...dp, inner: { name: 'qfedavg', learningRate: 1 } }, 'losses'],
    ['privacy around scaffold', { ...dp, inner: { name: 'scaffold' } }, 'control variates'],
    ['privacy around fedbuff', { ...dp, inner: { name: 'fedbuff' } }, 'a buffer has none'],
  ])('refuses %s, with the reason', (_what, config, reason) => {
    const message = refused(config);
    expect(message).toContain('makes no sense');
    expect(message).toContain(reason);
  });
});

describe('options', () => {
  it.each([
    ['an unknown key', { name: 'fedavg', beta: 1 }, 'beta'],
    ['an unknown key inside', { name: 'fedavgm', inner: { name: 'fedmedian', beta: 0.1 } }, 'beta'],
    ['an option of the outermost level inside', { name: 'fedavgm', inner: { name: 'fedavg', minCompletionRate: 1 } }, 'minCompletionRate'],
    ['a β that cuts everything', { name: 'fedtrimmedavg', beta: 0.5 }, 'beta'],
    ['q-FedAvg without its learning rate', { name: 'qfedavg' }, 'learningRate'],
    ['privacy without noise or clip', { name: 'dp-fixed' }, 'clippingNorm'],
    ['momentum 1', { name: 'fedavgm', momentum: 1 }, 'momentum'],
    ['an unknown schedule', { name: 'fedprox', schedule: 'cosine' }, 'schedule'],
    ['nothing', undefined, 'no strategy undefined'],
    ['a name alone', 'fedavg', 'no strategy undefined'],
    ['an unknown strategy', { name: 'fedsgd' }, 'no strategy "fedsgd"'],
  ])('refuses %s', (_what, config, part) => {
    expect(refused(config)).toContain(part);
  });

  it('has the defaults of the papers', () => {
    expect(() => createStrategy({ name: 'fault-tolerant-fedavg' })).not.toThrow();
    expect(createStrategy({ name: 'fedbuff' }).minUpdates).toBe(3);
    expect(createStrategy({ name: 'bulyan', malicious: 2 }).minUpdates).toBe(11);
  });
});
