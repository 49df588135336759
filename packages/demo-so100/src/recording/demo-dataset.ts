import { CancelledError, deriveSeed, InvalidArgumentError } from '@zk0/core';
import { createDatasetWriter, type DatasetWriter, type EpisodeFrame, type VideoCodec, type WrittenDataset } from '@zk0/dataset-so100';
import { DemoError } from '../errors.ts';
import { DemoWorld } from '../world/demo-world.ts';
import { Expert } from '../world/expert.ts';

const MAX_EPISODES = 10_000;
/** How often the expert may fail at one episode before the task is said to be impossible. */
const MAX_ATTEMPTS = 20;

export interface DemoDatasetOptions {
  /** Name of one of the demo tasks. */
  readonly task: string;
  /** Restricts where the target lies to one of the task's places. */
  readonly place?: string;
  /** Default 10. */
  readonly episodes?: number;
  /** Fixes where things lie and how the hand moves: on one machine the same seed gives the same files, byte for byte. Default 0. */
  readonly seed?: string | number;
  /** Frames per second, 5 … 30. Default 10: an episode is then 60 to 90 frames. */
  readonly fps?: number;
  /** Picture size, even numbers of pixels. Default 128 × 96. */
  readonly width?: number;
  readonly height?: number;
  /** Default `h264`. */
  readonly codec?: VideoCodec;
  /** Stops between two frames; nothing is left behind. */
  readonly signal?: AbortSignal;
  /** Called after each episode. */
  readonly onProgress?: (progress: { readonly episodes: number; readonly total: number }) => void;
}

/**
 * Makes a LeRobot v3.0 dataset of the scripted expert doing a task in the demo world: joint angles in degrees (gripper
 * 0 … 100), actions as commanded, two rendered cameras. Episodes in which the task was not done are thrown away and tried
 * again in another layout. Every demo dataset has the same features, so that one policy can be trained over several.
 *
 * @throws DemoError `DEMO_TASK_UNKNOWN`, `PHYSICS_MISSING`
 * @throws InvalidArgumentError for a number out of range.
 * @throws DatasetWriteError as `createDatasetWriter`.
 * @throws CancelledError when `signal` aborts.
 */
export async function makeDemoDataset(dir: string, options: DemoDatasetOptions): Promise<WrittenDataset> {
  const { episodes = 10, seed = 0, codec, signal, onProgress } = options;
  if (!Number.isInteger(episodes) || episodes < 1 || episodes > MAX_EPISODES) {
    throw new InvalidArgumentError(`episodes is ${episodes}; it must be a whole number from 1 to ${MAX_EPISODES}`);
  }
  const world = await DemoWorld.create(options);
  try {
    const { fps, robotType, stateNames, actionNames, cameras } = world.info;
    const writer = await createDatasetWriter(dir, {
      fps,
      robotType,
      stateNames,
      actionNames,
      cameras,
      ...(codec === undefined ? {} : { codec }),
    });
    try {
      for (let episode = 0; episode < episodes; episode++) {
        const episodeSeed = deriveSeed('demo', world.task.name, options.place ?? '', seed, episode);
        await recordEpisode(world, episodeSeed, writer, signal);
        onProgress?.({ episodes: episode + 1, total: episodes });
      }
      return await writer.finish();
    } catch (error) {
      await writer.abort();
      throw error;
    }
  } finally {
    world.close();
  }
}

/** A first pass without pictures finds a layout in which the expert succeeds; a second one, which is the same, records it. */
async function recordEpisode(world: DemoWorld, seed: string, writer: DatasetWriter, signal: AbortSignal | undefined): Promise<void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const attemptSeed = deriveSeed(seed, 'attempt', attempt);
    const actions = [...expertActions(world, attemptSeed, signal)];
    if (!world.success()) continue;
    world.reset(attemptSeed);
    await writer.addEpisode({ task: world.info.task, frames: replay(world, actions, signal) });
    return;
  }
  throw new DemoError('DEMO_TASK_UNKNOWN', `the expert failed ${MAX_ATTEMPTS} times in a row at ${world.info.name}`, {
    hint: 'Report the task and the seed.',
  });
}

function* expertActions(world: DemoWorld, seed: string, signal: AbortSignal | undefined): Generator<number[]> {
  world.reset(seed);
  const expert = new Expert(world, deriveSeed(seed, 'expert'));
  for (let action = expert.next(); action !== undefined; action = expert.next()) {
    stopIfAsked(signal);
    world.act(action);
    yield action;
  }
}

function* replay(world: DemoWorld, actions: readonly number[][], signal: AbortSignal | undefined): Generator<EpisodeFrame> {
  for (const action of actions) {
    stopIfAsked(signal);
    const { state, images } = world.observe();
    yield { state, action, images };
    world.act(action);
  }
}

function stopIfAsked(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new CancelledError('Making the demo dataset');
}
