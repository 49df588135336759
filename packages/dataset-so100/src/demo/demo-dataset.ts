import { CancelledError, deriveSeed, InvalidArgumentError } from '@zk0/core';
import { createDatasetWriter, type EpisodeFrame, type WrittenDataset } from '../write/dataset-writer.ts';
import type { VideoCodec } from '../write/video-file.ts';
import { demoTasks, type DemoTask } from './demo-tasks.ts';
import { simulateEpisode } from './episode.ts';
import { JOINT_NAMES } from './so100.ts';
import { demoCameras, DemoView } from './view.ts';

const MAX_EPISODES = 10_000;

export interface DemoDatasetOptions {
  /** Name of one of {@link demoTasks}. */
  readonly task: string;
  /** Default 10. */
  readonly episodes?: number;
  /** Fixes where things lie and how the hand moves: the same seed gives the same files, byte for byte. Default 0. */
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
 * Makes a LeRobot v3.0 dataset of a simulated SO-100 arm doing a task: joint angles in degrees (gripper 0 … 100),
 * actions as commanded, two rendered cameras. Every demo dataset has the same features, so that one policy can be
 * trained over several and evaluated on another.
 *
 * @throws InvalidArgumentError for an unknown task or a number out of range.
 * @throws DatasetWriteError as {@link createDatasetWriter}.
 * @throws CancelledError when `signal` aborts.
 */
export async function makeDemoDataset(dir: string, options: DemoDatasetOptions): Promise<WrittenDataset> {
  const { episodes = 10, seed = 0, fps = 10, width = 128, height = 96, codec, signal, onProgress } = options;
  const task = findTask(options.task);
  checkRange('episodes', episodes, 1, MAX_EPISODES);
  checkRange('fps', fps, 5, 30);
  const writer = await createDatasetWriter(dir, {
    fps,
    robotType: 'so100_follower',
    stateNames: JOINT_NAMES,
    actionNames: JOINT_NAMES,
    cameras: demoCameras(width, height),
    ...(codec === undefined ? {} : { codec }),
  });
  try {
    const view = new DemoView(task.surroundings, width, height);
    for (let episode = 0; episode < episodes; episode++) {
      const episodeSeed = deriveSeed('demo', task.name, seed, episode);
      await writer.addEpisode({ task: task.text, frames: renderEpisode(task, episodeSeed, fps, view, signal) });
      onProgress?.({ episodes: episode + 1, total: episodes });
    }
    return await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

function* renderEpisode(
  task: DemoTask,
  seed: string,
  fps: number,
  view: DemoView,
  signal: AbortSignal | undefined,
): Generator<EpisodeFrame> {
  for (const { state, action, links, things } of simulateEpisode(task, seed, fps).frames) {
    if (signal?.aborted === true) throw new CancelledError('Making the demo dataset');
    yield { state, action, images: view.render(links, things) };
  }
}

function findTask(name: string): DemoTask {
  const task = demoTasks.find((candidate) => candidate.name === name);
  if (task !== undefined) return task;
  throw new InvalidArgumentError(`There is no demo task ${JSON.stringify(name)}`, {
    hint: `Choose one of: ${demoTasks.map((candidate) => candidate.name).join(', ')}.`,
  });
}

function checkRange(what: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new InvalidArgumentError(`${what} is ${value}; it must be a whole number from ${min} to ${max}`);
}
