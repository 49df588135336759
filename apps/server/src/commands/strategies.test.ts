import { describe, expect, it } from 'vitest';
import { checkStrategyOptions } from '../strategy-options.ts';
import { strategiesText } from './strategies.ts';

describe('zk0-server strategies', () => {
  it('shows each strategy with its options and defaults, or one', () => {
    const text = strategiesText(undefined, false);
    expect(text).toContain('\n  proximalMu: number, 0 ≤ x (default 0.01)\n');
    expect(text).toMatch(/every strategy\n {2}guards: .*\n {2}minCompletionRate: .*\n {2}schedule: .*\n$/);
    const one = strategiesText('dp-fixed', false);
    expect(one).toContain('clippingNorm: number, 0 < x (required)');
    expect(one).not.toContain('fedprox:');
    const { strategies } = JSON.parse(strategiesText('fedprox', true)) as { strategies: { name: string }[] };
    expect(strategies.map(({ name }) => name)).toEqual(['fedprox']);
  });

  it('suggests the nearest name for one that does not exist', () => {
    expect(() => strategiesText('fedprx', false)).toThrow(expect.objectContaining({ hint: 'Did you mean "fedprox"?' }) as Error);
  });
});

describe('the options of a strategy', () => {
  it.each([
    [{ name: 'fedprx' }, 'there is no strategy "fedprx"', 'Did you mean "fedprox"?'],
    [{ name: 'fedprox', proximal_mu: 1 }, 'strategy fedprox has no option "proximal_mu"', 'Did you mean "proximalMu"?'],
    [{ name: 'fedtrimmedavg', bta: 0.1 }, 'strategy fedtrimmedavg has no option "bta"', 'Did you mean "beta"?'],
  ])('are refused with the nearest known one: %j', (config, message, hint) => {
    expect(() => { checkStrategyOptions(config); }).toThrow(expect.objectContaining({ message, hint }) as Error);
  });

  it('pass when they are known, whatever their values', () => {
    expect(() => { checkStrategyOptions({ name: 'fedprox', proximalMu: 'high', schedule: 'zk0' }); }).not.toThrow();
  });
});
