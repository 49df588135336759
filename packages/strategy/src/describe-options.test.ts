import { expect, it } from 'vitest';
import { commonStrategyOptions, createStrategy, describeStrategies } from './index.ts';

it('describes every strategy that can be made, with what each option takes and its default', () => {
  const all = new Map(describeStrategies().map((one) => [one.name, one]));
  expect(all.size).toBe(20);
  for (const { about } of all.values()) expect(about.length).toBeGreaterThan(5);
  expect(all.get('fedavg')?.options).toEqual([]);
  expect(all.get('fedprox')?.options).toEqual([{ name: 'proximalMu', takes: 'number, 0 ≤ x', default: 0.01, required: false }]);
  expect(all.get('fedtrimmedavg')?.options).toEqual([{ name: 'beta', takes: 'number, 0 ≤ x < 0.5', default: 0.2, required: false }]);
  expect(all.get('krum')?.options).toEqual([{ name: 'malicious', takes: 'whole number, 0 ≤ x ≤ 100000', default: 0, required: false }]);
  const dp = new Map(all.get('dp-fixed')?.options.map((option) => [option.name, option]));
  expect([...dp].filter(([, { required }]) => required).map(([name]) => name)).toEqual(['clippingNorm', 'noiseMultiplier']);
  expect(dp.get('budget')?.takes).toBe('{ epsilon, delta }');
  expect(dp.get('inner')?.takes).toMatch(/^\{ name: fedavg \| fedprox .* fedyogi, … \}$/);
  expect(all.get('fault-tolerant-fedavg')?.options.map(({ name, default: value }) => [name, value])).toEqual([['minCompletionRate', 0.5]]);
  expect(commonStrategyOptions().map(({ name }) => name)).toEqual(['guards', 'minCompletionRate', 'schedule']);
});

it('says which strategies need the sum of the updates alone', () => {
  const names = describeStrategies().filter(({ needsSumOnly }) => needsSumOnly).map(({ name }) => name);
  expect(names).toEqual(['fedavg', 'fedprox', 'fault-tolerant-fedavg', 'fedavgm', 'fedmom', 'diloco', 'fedadagrad', 'fedadam', 'fedyogi']);
  expect(createStrategy({ name: 'fedadam', inner: { name: 'fedmedian' } } as never).needsSumOnly).toBe(false);
});

it('names defaults that are those of the strategy', () => {
  for (const { name, options } of describeStrategies()) {
    const given = Object.fromEntries(options.filter(({ required }) => required).map((option) => [option.name, 1]));
    const explicit = Object.fromEntries(options.filter((option) => option.default !== undefined).map((option) => [option.name, option.default]));
    expect(createStrategy({ name, ...given, ...explicit }).name).toBe(createStrategy({ name, ...given }).name);
  }
});
