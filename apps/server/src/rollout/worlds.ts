import { deriveSeed, InvalidArgumentError } from '@zk0/core';
import { parseDatasetUri } from '@zk0/dataset-so100';
import { DemoWorld, Expert, findTask, placesOf, worldSettings, type DemoWorldOptions } from '@zk0/demo-so100';

/** `place=each` stands for every place of a task. */
const EACH = 'each';

/** How many trials run side by side: their pictures and chunks are predicted in batches. */
const SIDE_BY_SIDE = 24;

/**
 * The worlds that addresses of tasks name: `demo:<task>?fps=5&place=left`; with `place=each` one for every place.
 *
 * @param trials how many will be run in them: for so many, each world is opened as many times as trials run side by side in it
 *
 * @throws InvalidArgumentError for an address that names no demo task; DemoError as `DemoWorld.create`
 */
export async function openWorlds(addresses: readonly string[], trials = 1): Promise<DemoWorld[]> {
  const worlds: DemoWorld[] = [];
  const kinds = addresses.flatMap(worldOptions);
  const copies = Math.ceil(Math.min(SIDE_BY_SIDE, trials) / kinds.length);
  try {
    for (let copy = 0; copy < copies; copy++) {
      for (const options of kinds) worlds.push(await DemoWorld.create(options));
    }
    return worlds;
  } catch (error) {
    for (const world of worlds) world.close();
    throw error;
  }
}

/** Finds out whether tasks can be tried here. @throws as {@link openWorlds} */
export async function checkTasks(addresses: readonly string[]): Promise<void> {
  for (const world of await openWorlds(addresses)) world.close();
}

function worldOptions(address: string): DemoWorldOptions[] {
  const uri = parseDatasetUri(address);
  if (uri.scheme !== 'demo') {
    throw new InvalidArgumentError(`--task ${address} is no task of the demo world`, {
      hint: 'For example --task demo:cube-to-bowl?fps=5&place=each.',
    });
  }
  const options = { task: uri.task, ...worldSettings(uri) };
  if (options.place !== EACH) return [options];
  const places = placesOf(findTask(uri.task));
  if (places.length === 0) throw new InvalidArgumentError(`the task ${uri.task} has no places`, { hint: 'Leave place= out.' });
  return places.map((place) => ({ ...options, place }));
}

/** Actions of demonstrations that the expert gave in these worlds, in layouts of their own: what blind replay plays back. */
export function recordDemonstrations(worlds: readonly DemoWorld[], count: number, seed: string | number): number[][][] {
  const recordings: number[][][] = [];
  for (let index = 0; recordings.length < count && index < 3 * count; index++) {
    const world = worlds[index % worlds.length]!;
    const trialSeed = deriveSeed('demonstration', seed, world.info.name, index);
    world.reset(trialSeed);
    const expert = new Expert(world, trialSeed);
    const actions: number[][] = [];
    for (let action = expert.next(); action !== undefined; action = expert.next()) {
      world.act(action);
      actions.push(action);
    }
    if (world.success()) recordings.push(actions);
  }
  return recordings;
}

/** The scripted expert as a controller: what can be reached. */
export function expertController(seed: string, world: DemoWorld): () => number[] | undefined {
  const expert = new Expert(world, deriveSeed(seed, 'expert'));
  return () => expert.next();
}
