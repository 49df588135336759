import { deriveSeed, InvalidArgumentError } from '@zk0/core';
import { parseDatasetUri } from '@zk0/dataset-so100';
import { DemoWorld, ENVHUB_SCHEME, findTask, parseEnvhubAddress, placesOf, TabletopWorld, worldSettings, type DemoWorldOptions } from '@zk0/demo-so100';

/** A world that a scripted expert can show its task in. */
export type TriedWorld = DemoWorld | TabletopWorld;

/** `place=each` stands for every place of a task. */
const EACH = 'each';

/** How many trials run side by side: their pictures and chunks are predicted in batches. */
const SIDE_BY_SIDE = 24;
/** The same where a world's pictures are large: each needs 30 MB to draw them. */
const LARGE_SIDE_BY_SIDE = 8;

/**
 * The worlds that addresses of tasks name: `demo:<task>?fps=5&place=left`, with `place=each` one for every place; or
 * `envhub:so101-tabletop-mujoco`, a task of LeRobot's.
 *
 * @param trials how many will be run in them: for so many, each world is opened as many times as trials run side by side in it
 *
 * @throws InvalidArgumentError for an address that names no task; DemoError as `DemoWorld.create`
 */
export async function openWorlds(addresses: readonly string[], trials = 1): Promise<TriedWorld[]> {
  const worlds: TriedWorld[] = [];
  const kinds = addresses.flatMap(openers);
  const copies = Math.ceil(Math.min(kinds.some(({ isLarge }) => isLarge) ? LARGE_SIDE_BY_SIDE : SIDE_BY_SIDE, trials) / kinds.length);
  try {
    for (let copy = 0; copy < copies; copy++) {
      for (const { open } of kinds) worlds.push(await open());
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

/** How the worlds that an address names are opened. */
function openers(address: string): { readonly isLarge: boolean; readonly open: () => Promise<TriedWorld> }[] {
  if (!address.startsWith(ENVHUB_SCHEME)) return worldOptions(address).map((options) => ({ isLarge: false, open: () => DemoWorld.create(options) }));
  const options = parseEnvhubAddress(address);
  return [{ isLarge: true, open: () => TabletopWorld.create(options) }];
}

function worldOptions(address: string): DemoWorldOptions[] {
  const uri = address.startsWith('demo:') ? parseDatasetUri(address) : undefined;
  if (uri?.scheme !== 'demo') {
    throw new InvalidArgumentError(`--task ${address} is no task of a simulated world`, {
      hint: 'For example --task "demo:cube-to-bowl?fps=5&place=each", or --task envhub:so101-tabletop-mujoco.',
    });
  }
  const [foreign] = [...address.slice(address.indexOf('?')).matchAll(/[?&](episodes|seed|select|lookup|score>|units|weight)=/g)];
  if (foreign !== undefined) {
    throw new InvalidArgumentError(`--task ${address} has ${foreign[1]!}=, which is of recordings, not of a task to try`, { hint: 'Leave it out; --seed fixes the layouts, --trials says how many.' });
  }
  const options = { task: uri.task, ...worldSettings(uri) };
  if (options.place !== EACH) return [options];
  const places = placesOf(findTask(uri.task));
  if (places.length === 0) throw new InvalidArgumentError(`the task ${uri.task} has no places`, { hint: 'Leave place= out.' });
  return places.map((place) => ({ ...options, place }));
}

/** Longest that a demonstration takes, seconds: it may take longer than a trial. */
const DEMONSTRATION_SECONDS = 90;

/** Actions of demonstrations that the expert gave in these worlds, in layouts of their own: what blind replay plays back. */
export function recordDemonstrations(worlds: readonly TriedWorld[], count: number, seed: string | number): number[][][] {
  const recordings: number[][][] = [];
  for (let index = 0; recordings.length < count && index < 3 * count; index++) {
    const world = worlds[index % worlds.length]!;
    const trialSeed = deriveSeed('demonstration', seed, world.info.name, index);
    world.reset(trialSeed);
    const expert = world.expert(trialSeed);
    const actions: number[][] = [];
    for (let action = expert.next(); action !== undefined && actions.length < DEMONSTRATION_SECONDS * world.info.fps; action = expert.next()) {
      world.act(action);
      actions.push(action);
    }
    if (world.success()) recordings.push(actions);
  }
  return recordings;
}
