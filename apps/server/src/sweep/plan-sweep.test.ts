import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { labelOf, planSweep, type SweepRun } from './plan-sweep.ts';
import { costOf } from './sweep-cost.ts';
import { readSweepFile } from './sweep-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'zk0-sweep-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function plan(text: string): Promise<SweepRun[]> {
  const path = join(folder, 'sweep.yaml');
  writeFileSync(path, text);
  return planSweep(await readSweepFile(path));
}

async function refusal(text: string): Promise<string> {
  try {
    await plan(text);
  } catch (error) {
    const { message, hint } = error as { message: string; hint?: string };
    return `${message.replace(`${folder}/`, '')} | ${hint ?? ''}`;
  }
  throw new Error('it was accepted');
}

describe('the runs of a sweep file', () => {
  it('are every combination of the grid, for every entry of the list and every seed, the last fastest', async () => {
    const runs = await plan(`
settings: { rounds: 2, policy: tiny }
list: [{ strategy.name: fedavg }, { strategy: { name: fedprox, proximalMu: 0.1 } }]
grid: { learningRate: [0.001, 0.0003] }
seeds: [1, 2]
`);
    expect(runs.map(({ varied }) => labelOf(varied))).toEqual([
      'strategy.name=fedavg learningRate=0.001 seed=1',
      'strategy.name=fedavg learningRate=0.001 seed=2',
      'strategy.name=fedavg learningRate=0.0003 seed=1',
      'strategy.name=fedavg learningRate=0.0003 seed=2',
      'strategy={"name":"fedprox","proximalMu":0.1} learningRate=0.001 seed=1',
      'strategy={"name":"fedprox","proximalMu":0.1} learningRate=0.001 seed=2',
      'strategy={"name":"fedprox","proximalMu":0.1} learningRate=0.0003 seed=1',
      'strategy={"name":"fedprox","proximalMu":0.1} learningRate=0.0003 seed=2',
    ]);
    expect(runs[0]!.settings).toEqual({ rounds: 2, policy: 'tiny', strategy: { name: 'fedavg' }, learningRate: 0.001, seed: 1 });
    expect(new Set(runs.map(({ name }) => name)).size).toBe(8);
    for (const { name } of runs) expect(name).toMatch(/^[\w.=-]{1,100}$/);
  });

  it('vary how a simulation is started, too', async () => {
    const runs = await plan('simulation: { dataset: /data/set }\ngrid: { simulation.clients: [1, 4], simulation.split: [modulo, dirichlet=0.3] }\n');
    expect(runs.map(({ simulation: { clients, split, dataset } }) => [clients, split, dataset])).toEqual([
      [1, 'modulo', ['/data/set']],
      [1, 'dirichlet=0.3', ['/data/set']],
      [4, 'modulo', ['/data/set']],
      [4, 'dirichlet=0.3', ['/data/set']],
    ]);
    // Unless the settings say otherwise, a round needs everybody.
    expect(runs.map(({ config }) => config.minClients)).toEqual([1, 1, 4, 4]);
  });

  it('keep their identity when the order of the file changes, and lose it with any value', async () => {
    const ids = async (text: string): Promise<string[]> => (await plan(text)).map(({ id }) => id).sort();
    const first = await ids('settings: { rounds: 2, localSteps: 3 }\ngrid: { seed: [1, 2], learningRate: [0.1, 0.2] }\n');
    expect(await ids('grid: { learningRate: [0.2, 0.1] }\nsettings: { localSteps: 3, rounds: 2 }\nseeds: [2, 1]\n')).toEqual(first);
    const other = await ids('settings: { rounds: 3, localSteps: 3 }\ngrid: { seed: [1, 2], learningRate: [0.1, 0.2] }\n');
    expect(other.filter((id) => first.includes(id))).toEqual([]);
  });

  it.each([
    ['settings: { rouns: 3 }', 'sweep.yaml:1: unknown key "settings.rouns" | Did you mean "rounds"?'],
    ['settings: { rounds: 3 }\ngrid:\n  learning_rat: [1]', 'sweep.yaml:3: grid.learning_rat is not a setting | Did you mean "learningRate"?'],
    ['grid: { simulation.client: [1] }', 'sweep.yaml:1: grid.simulation.client is not a setting | Did you mean "simulation.clients"?'],
    ['grids: { seed: [1] }', 'sweep.yaml:1: unknown key "grids" | Did you mean "grid"?'],
    ['list: [{ seeds: 1 }]', 'sweep.yaml:1: list.0.seeds is not a setting | Did you mean "seed"?'],
    ['grid: { seed: [1] }\nseeds: [2]', 'sweep.yaml:2: seeds and a varied seed exclude each other | Leave seeds, or the key seed, out'],
    ['grid: { rounds: [1, 0] }', 'rounds=0: rounds must be at least 1 | '],
    ['grid: { rounds: [1, 1] }', 'the sweep has the run rounds=1 twice | Remove the repeated value, entry or seed.'],
    ['grid: { strategy.proximalMi: [1] }', 'strategy.proximalMi=1: strategy fedprox has no option "proximalMi" | Did you mean "proximalMu"?'],
    ['grid: { simulation.split: [dirchlet=1] }', expect.stringMatching(/^simulation.split=dirchlet=1: .* is not understood \| /)],
    ['settings: { minClients: 4 }', 'run: minClients is 4, and the simulation has 3 clients | Raise --clients, or lower minClients.'],
    [`grid: { seed: [${Array.from({ length: 101 }, (_, i) => i).join(', ')}], rounds: [${Array.from({ length: 100 }, (_, i) => i + 1).join(', ')}] }`, 'sweep.yaml:1: grid makes 10100 runs, at most 10000 are possible | Vary fewer keys at a time'],
  ])('refuses %s', async (text, says) => {
    expect(await refusal(text)).toEqual(says);
  });
});

describe('what a run costs', () => {
  it('is the steps of those who are asked, with the policy’s own where the settings leave them out', async () => {
    const costs = (await plan('settings: { rounds: 10, policy: tiny, fraction: 0.5, minClients: 1 }\nsimulation: { clients: 4 }\nlist: [{ localSteps: 3, batchSize: 2 }, { overSelection: 0.5 }, { policy: hf:a/b }]')).map(costOf);
    expect(costs).toEqual([
      { steps: 10 * 2 * 3, samples: 10 * 2 * 3 * 2 },
      { steps: 10 * 3 * 50, samples: 10 * 3 * 50 * 8 },
      { steps: null, samples: null },
    ]);
  });
});
