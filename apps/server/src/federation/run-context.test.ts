import { describe, expect, it } from 'vitest';
import { checkRunConfig } from './run-context.ts';

describe('a run’s strategy', () => {
  it('is refused before the run starts when the run could not carry it out', () => {
    const check = (strategy: { readonly name: string; readonly [option: string]: unknown }, minClients = 3) => () => {
      checkRunConfig({ strategy, minClients });
    };
    expect(check({ name: 'fedadam' })).not.toThrow();
    expect(check({ name: 'bulyan', malicious: 1 })).toThrow('bulyan needs 7 updates, the run starts with 3 clients');
    expect(check({ name: 'scaffold' })).not.toThrow();
    expect(check({ name: 'dp-fixed', noiseMultiplier: 1, clippingNorm: 1, inner: { name: 'scaffold' } })).toThrow('control variates');
    const dp = { name: 'dp-fixed', noiseMultiplier: 1, clippingNorm: 1, budget: { epsilon: 8, delta: 1e-5 } };
    expect(check(dp)).not.toThrow();
    expect(check({ ...dp, poissonRate: 0.1 })).toThrow('does not count in privacy’s favour');
  });
});
