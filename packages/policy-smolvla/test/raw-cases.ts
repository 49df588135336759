import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deriveSeed, Random, type Normalizer, type RgbImage, type RobotDataset } from '@zk0/core';
import { openPolicy } from '../src/open-policy.ts';
import type { SmolVlaPolicy } from '../src/policy.ts';
import { drawFlowNoise, planEvaluation } from '../src/training/sampling.ts';
import { momentsOfRows } from './synthetic-dataset.ts';

/** A case that begins at what a recorder writes: pixels, joint values, words. */
export interface RawCase {
  readonly name: string;
  /** Samples in the one batch of the evaluation. */
  readonly batch: number;
  readonly chunkSize: number;
  /** Width and height of each camera, none of them square or of the policy's size. */
  readonly cameras: readonly (readonly [number, number])[];
  readonly emptyCameras: number;
  readonly axes: number;
  /** By episode. */
  readonly tasks: readonly string[];
  readonly framesPerEpisode: number;
}

const LONG = 'put the red cube into the bowl and the blue cube beside it, then go home';

export const RAW_CASES: readonly RawCase[] = [
  { name: 'one-sample-three-cameras', batch: 1, chunkSize: 3, cameras: [[40, 24], [18, 30], [16, 9]], emptyCameras: 0, axes: 6, tasks: ['pick it up'], framesPerEpisode: 5 },
  { name: 'padded-chunks-long-task', batch: 4, chunkSize: 11, cameras: [[33, 21], [7, 12], [64, 48]], emptyCameras: 0, axes: 4, tasks: [LONG, 'stapelt Würfel 🧊 '], framesPerEpisode: 6 },
  { name: 'three-cameras-one-empty', batch: 2, chunkSize: 8, cameras: [[20, 31], [48, 27], [12, 12]], emptyCameras: 1, axes: 7, tasks: ['push\n', 'push the block to the left'], framesPerEpisode: 4 },
];

/** Name of a case's camera. */
export const rawCamera = (index: number): string => `observation.images.${['top', 'wrist', 'front'][index]!}`;

/** A recording of noise: every pixel and every joint matters, and no two axes are of one size. */
export function rawDataset({ name, cameras, axes, tasks, framesPerEpisode }: RawCase): RobotDataset {
  const random = new Random(deriveSeed('raw', name));
  const frameCount = tasks.length * framesPerEpisode;
  const rows = (scale: number): Float32Array[] =>
    Array.from({ length: frameCount }, () => Float32Array.from({ length: axes }, (_, axis) => (random.uniform() - 0.3) * scale * 10 ** (axis - 2)));
  const states = rows(30);
  const actions = rows(50);
  const images = Array.from({ length: frameCount }, () =>
    cameras.map(([width, height]): RgbImage => ({ width, height, data: Uint8Array.from({ length: width * height * 3 }, () => random.below(256)) })),
  );
  const joints = Array.from({ length: axes }, (_, axis) => `joint_${axis}`);
  const episodeOf = (frame: number): number => Math.floor(frame / framesPerEpisode);
  const keys = cameras.map((_, index) => rawCamera(index));
  return {
    info: {
      name,
      uri: `memory:${name}`,
      contentHash: createHash('sha256').update(name).digest('hex'),
      robotType: 'so100',
      fps: 30,
      frameCount,
      stateNames: joints,
      actionNames: joints,
      cameras: cameras.map(([width, height], index) => ({ key: rawCamera(index), width, height })),
      episodes: tasks.map((_, episodeIndex) => ({ episodeIndex, from: episodeIndex * framesPerEpisode, to: (episodeIndex + 1) * framesPerEpisode })),
      tasks,
      moments: { state: momentsOfRows(states), action: momentsOfRows(actions) },
    },
    state: (frame) => states[frame]!.slice(),
    actionChunk: (frame, length) => {
      const end = (episodeOf(frame) + 1) * framesPerEpisode - 1;
      const chunk = new Float32Array(length * axes);
      const isPad = new Uint8Array(length);
      for (let step = 0; step < length; step++) {
        chunk.set(actions[Math.min(frame + step, end)]!, step * axes);
        isPad[step] = frame + step > end ? 1 : 0;
      }
      return { actions: chunk, isPad };
    },
    task: (frame) => tasks[episodeOf(frame)]!,
    images: (frame, wanted) => Promise.resolve(wanted.map((key) => images[frame]![keys.indexOf(key)]!)),
    close: () => Promise.resolve(),
  };
}

/** Statistics of other recordings than these, as a federation's are: no axis has mean 0 and spread 1 after them. */
export function rawNormalizer({ axes }: RawCase): Normalizer {
  const vector = (by: number): Normalizer['state'] => ({
    mean: Array.from({ length: axes }, (_, axis) => (axis - 1.5) * by),
    std: Array.from({ length: axes }, (_, axis) => by * 10 ** (axis - 2) * (1 + axis / 7)),
  });
  return { state: vector(9), action: vector(14) };
}

/** What an evaluation of one batch draws: frames in order, their noise and times. */
export function rawDraws({ batch, tasks, framesPerEpisode, chunkSize }: RawCase, maxActionDim: number): { readonly frames: readonly number[]; readonly noise: Float32Array; readonly time: Float32Array } {
  const { batches } = planEvaluation(tasks.length * framesPerEpisode, 1, batch, RAW_SEED, () => true);
  return { frames: batches[0]!, ...drawFlowNoise(deriveSeed(RAW_SEED, 'step', 0), batch, chunkSize * maxActionDim) };
}

export const RAW_SEED = 'raw-frames';

/** Writes the checkpoint of a case: the tiny preset with another chunk and other inputs, its weights untrained. */
export async function writeRawCheckpoint(one: RawCase, directory: string, cacheDirectory: string): Promise<void> {
  const features = { stateSize: one.axes, actionSize: one.axes, cameras: one.cameras.map((_, index) => rawCamera(index)) };
  const policy = await openPolicy('tiny', { device: 'cpu', cacheDirectory, features });
  await policy.saveCheckpoint(directory, await policy.initialParameters(), { normalizer: rawNormalizer(one) });
  await policy.close();
  const file = join(directory, 'config.json');
  const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  await writeFile(file, JSON.stringify({ ...config, chunk_size: one.chunkSize, n_action_steps: one.chunkSize, empty_cameras: one.emptyCameras }));
}

/** The loss that the package computes of one batch, and the chunk with which it answers each of its frames. */
export async function computeRaw(one: RawCase, policy: SmolVlaPolicy): Promise<{ readonly loss: number; readonly actions: readonly Float32Array[] }> {
  const dataset = rawDataset(one);
  const learner = policy.learner(dataset, { normalizer: rawNormalizer(one), cache: 'off' });
  const { loss } = await learner.evaluate(await policy.initialParameters(), { seed: RAW_SEED, batches: 1, batchSize: one.batch });
  await learner.close();
  const { chunkSize, maxActionDim } = policy.config.model;
  const { frames, noise } = rawDraws(one, maxActionDim);
  const actions: Float32Array[] = [];
  for (const [row, frame] of frames.entries()) {
    const keys = one.cameras.map((_, index) => rawCamera(index));
    const pictures = await dataset.images(frame, keys);
    const images = Object.fromEntries(keys.map((key, index) => [key, pictures[index]!]));
    const own = noise.slice(row * chunkSize * maxActionDim, (row + 1) * chunkSize * maxActionDim);
    actions.push((await policy.act({ state: dataset.state(frame), images, task: dataset.task(frame) }, { noise: own })).actions);
  }
  return { loss, actions };
}
