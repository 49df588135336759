import { parseDatasetUri } from '@zk0/dataset-so100';
import { describe, expect, it } from 'vitest';
import { configSchema } from '../config.ts';
import { demoTable } from '../commands/demo.ts';
import { successRate } from '@zk0/rollout';
import { federatedArguments, FULL, homesOf, MIXED_TASKS, QUICK, soloArguments, soloPolicies, taskAddresses } from './plan.ts';
import { openWorlds } from '../rollout/worlds.ts';
import { successChart } from './success-chart.ts';

const settings = { ...QUICK, seed: 7 };
const homes = homesOf(settings);

describe('the demo', () => {
  it('gives each of three homes one task at a place of its own', () => {
    const addresses = homes.map(({ dataset }) => parseDatasetUri(dataset));
    expect(addresses).toMatchObject([
      { task: 'cube-to-bowl', count: 10, seed: '7', settings: { fps: '5', place: 'right' } },
      { task: 'cube-to-bowl', count: 10, seed: '8', settings: { fps: '5', place: 'middle' } },
      { task: 'cube-to-bowl', count: 10, seed: '9', settings: { fps: '5', place: 'left' } },
    ]);
    expect(taskAddresses(settings)).toEqual(['right', 'middle', 'left'].map((place) => `demo:cube-to-bowl?fps=5&place=${place}`));
  });

  it('can give each home a task, a thing and a scene of its own, which exist', async () => {
    const mixed = homesOf({ ...settings, tasks: MIXED_TASKS });
    expect(new Set(mixed.map(({ name }) => name)).size).toBe(3);
    expect(soloPolicies(mixed).map(({ name }) => name)).toContain('alone: can-to-tray');
    const worlds = await openWorlds(taskAddresses({ ...settings, tasks: MIXED_TASKS }));
    expect(worlds.map(({ info }) => info.place)).toEqual(['right', 'middle', 'left']);
    for (const world of worlds) world.close();
  });

  it('trains each home alone, and all data in one place, for as many steps as a home makes in the federation', () => {
    const policies = soloPolicies(homes);
    expect(policies.map(({ datasets }) => datasets.length)).toEqual([1, 1, 1, 3]);
    const federated = federatedArguments(settings, homes, '/out');
    const value = (args: readonly string[], flag: string): string => args[args.indexOf(flag) + 1]!;
    const steps = Number(value(federated, '--rounds')) * Number(value(federated, '--local-steps'));
    for (const policy of policies) expect(Number(value(soloArguments(settings, policy, '/out'), '--steps'))).toBe(steps);
    expect(FULL.rounds).toBeGreaterThan(QUICK.rounds);
  });

  it('asks for settings that a run takes', () => {
    const federated = federatedArguments(settings, homes, '/out');
    const keys = federated.flatMap((argument, index) => (federated[index - 1] === '--set' ? [argument.split(/[.=]/)[0]!] : []));
    expect(keys).toEqual(['strategy', 'evaluateEvery', 'checkpointEvery']);
    for (const key of keys) expect(Object.keys(configSchema.shape)).toContain(key);
  });
});

describe('its results', () => {
  const places = ['right', 'middle', 'left'].map((place, index) => ({ world: 'demo:cube-to-bowl', place, ...successRate(index, 4), secondsToSuccess: null, failures: {}, clampedShare: 0 }));
  const together = { name: 'together', ...successRate(3, 12), places, checkpoint: null };

  it('are a table by place', () => {
    const lines = demoTable({ results: [together], settings }).split('\n');
    expect(lines.at(-1)).toMatch(/together\s+25 % \(9 – 53\)\s+0 of 4\s+1 of 4\s+2 of 4/);
  });

  it('are a chart with intervals', () => {
    const chart = successChart('t', 's', [{ ...together, highlight: true }]);
    const [bars, interval] = chart.series as { data: unknown[] }[];
    expect(bars!.data).toMatchObject([{ value: 25 }]);
    expect(interval!.data).toEqual([[0, expect.closeTo(8.9, 1)], [0, expect.closeTo(53.2, 1)]]);
  });
});
