import { parseEpisodeList } from '@zk0/dataset-so100';
import { describe, expect, it } from 'vitest';
import { parseSplit, planSimulation, selectEpisodes, type DatasetCatalogue, type SimulationRequest } from './plan.ts';

const catalogue: DatasetCatalogue = {
  demoTasks: ['pick', 'push', 'stack'],
  episodes: () => Promise.resolve(Array.from({ length: 8 }, (_, episodeIndex) => ({ episodeIndex, length: 10, tasks: ['t'] }))),
};
const request: SimulationRequest = { clients: 3, datasets: [], heldOut: [], holdOutEpisodes: 2, seed: 7 };

describe('planSimulation', () => {
  it('gives every client another demo task, and holds one more out', async () => {
    const plan = await planSimulation({ ...request, clients: 2 }, catalogue);
    expect(plan.clients).toEqual(['demo:pick?episodes=10&seed=7', 'demo:push?episodes=10&seed=8']);
    expect(plan.heldOut).toEqual(['demo:stack?episodes=5&seed=9']);
  });

  it('splits one dataset by episode and holds its last episodes out', async () => {
    const plan = await planSimulation({ ...request, datasets: ['/data/set'] }, catalogue);
    expect(plan.clients).toEqual(['/data/set?episodes=0,3', '/data/set?episodes=1,4', '/data/set?episodes=2,5']);
    expect(plan.heldOut).toEqual(['/data/set?episodes=6-7']);
  });

  it('uses every episode for training when something else is held out', async () => {
    const plan = await planSimulation({ ...request, clients: 1, datasets: ['/a'], heldOut: ['/b'] }, catalogue);
    expect(plan).toEqual({ clients: ['/a?episodes=0-7'], heldOut: ['/b'] });
  });

  it('gives each client its own dataset, the last episodes of each held out', async () => {
    const plan = await planSimulation({ ...request, clients: 2, datasets: ['/a', 'demo:pick?episodes=8&seed=1'] }, catalogue);
    expect(plan.clients).toEqual(['/a?episodes=0-5', 'demo:pick?episodes=8&seed=1&select=0-5']);
    expect(plan.heldOut).toEqual(['/a?episodes=6-7', 'demo:pick?episodes=8&seed=1&select=6-7']);
  });

  it('leaves the addresses of datasets as they are when nothing is held out', async () => {
    const datasets = ['/a', 'demo:pick?episodes=8&seed=1'];
    expect(await planSimulation({ ...request, clients: 2, datasets, holdOutEpisodes: 0 }, catalogue)).toEqual({ clients: datasets, heldOut: [] });
  });

  it('splits by size, by task and by a seeded Dirichlet draw, every episode once', async () => {
    const numbersOf = (uri: string): number[] => parseEpisodeList(/episodes=(.*)$/.exec(uri)![1]!).slice();
    for (const split of ['size=2,1,1', 'task', 'dirichlet=0.3', 'modulo']) {
      const plan = await planSimulation({ ...request, datasets: ['/data/set'], split: parseSplit(split, 7) }, catalogue);
      const again = await planSimulation({ ...request, datasets: ['/data/set'], split: parseSplit(split, 7) }, catalogue);
      expect(again).toEqual(plan);
      expect(plan.clients.flatMap(numbersOf).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
      expect(plan.heldOut).toEqual(['/data/set?episodes=6-7']);
      if (split.startsWith('size')) expect(plan.clients.map((uri) => numbersOf(uri).length)).toEqual([3, 2, 1]);
    }
  });

  it('holds nothing out when told so', async () => {
    const plan = await planSimulation({ ...request, clients: 2, datasets: ['/a'], holdOutEpisodes: 0 }, catalogue);
    expect(plan).toEqual({ clients: ['/a?episodes=0,2,4,6', '/a?episodes=1,3,5,7'], heldOut: [] });
  });

  it.each(['size', 'size=1,0', 'dirichlet', 'dirichlet=-1', 'dirichlet=1,2', 'task=1', 'random', ''])('refuses to split by "%s"', (text) => {
    expect(() => parseSplit(text, 0)).toThrow('is not understood');
  });

  it('refuses a split that does not fit', async () => {
    const split = parseSplit('size=1,2', 0);
    await expect(planSimulation({ ...request, datasets: ['/a'], split }, catalogue)).rejects.toThrow('2 weights for 3 clients');
    await expect(planSimulation({ ...request, split: { kind: 'task' } }, catalogue)).rejects.toThrow('divides one dataset');
  });

  it('refuses numbers that do not fit', async () => {
    await expect(planSimulation({ ...request, clients: 9, datasets: ['/a'] }, catalogue)).rejects.toThrow(/8 episodes/);
    await expect(planSimulation({ ...request, datasets: ['/a', '/b'] }, catalogue)).rejects.toThrow('2 datasets for 3 clients');
  });
});

describe('selectEpisodes', () => {
  it('replaces a choice that is there already', () => {
    expect(selectEpisodes('/a?episodes=0-9', [1])).toBe('/a?episodes=1');
    expect(selectEpisodes('demo:x?episodes=9&select=0-8&seed=1', [2])).toBe('demo:x?episodes=9&seed=1&select=2');
    expect(selectEpisodes('demo:x', [2])).toBe('demo:x?select=2');
  });
});
