import { createHash } from 'node:crypto';
import { Random, type FeatureMoments, type Normalizer, type RgbImage, type RobotDataset, type RobotDatasetInfo, Zk0Error } from '@zk0/core';

/** What a made-up recording looks like. */
export interface SyntheticOptions {
  readonly name?: string;
  readonly seed?: number;
  readonly episodes?: number;
  readonly framesPerEpisode?: number;
  readonly cameras?: readonly string[];
  readonly axes?: number;
  readonly width?: number;
  readonly height?: number;
  readonly task?: string;
  /** Frames that cannot be decoded. */
  readonly corrupt?: readonly number[];
}

/**
 * A recording in memory of an arm that swings towards a goal shown as a bright square: the actions follow from state and
 * image, so a policy can learn them.
 */
export function syntheticDataset(options: SyntheticOptions = {}): RobotDataset & { readonly decoded: number } {
  const { name = 'synthetic', seed = 1, episodes = 4, framesPerEpisode = 30, axes = 6, width = 32, height = 24 } = options;
  const { cameras = ['observation.images.top', 'observation.images.wrist'], task = 'reach the square' } = options;
  const random = new Random(seed);
  const goals = Array.from({ length: episodes }, () => ({ x: random.uniform(), y: random.uniform() }));
  const frameCount = episodes * framesPerEpisode;
  const stateAt = (frame: number): Float32Array => {
    const episode = Math.floor(frame / framesPerEpisode);
    const progress = (frame % framesPerEpisode) / framesPerEpisode;
    const { x, y } = goals[episode]!;
    return Float32Array.from({ length: axes }, (_, axis) => {
      const target = axis % 2 === 0 ? x : y;
      return 30 * (target - 0.5) * (1 - (1 - progress) ** 2) + 5 * Math.sin(3 * progress + axis);
    });
  };
  const states = Array.from({ length: frameCount }, (_, frame) => stateAt(frame));
  const nextInEpisode = (frame: number): number => ((frame + 1) % framesPerEpisode === 0 ? frame : frame + 1);
  const actions = states.map((_, frame) => states[nextInEpisode(frame)]!);
  const joints = Array.from({ length: axes }, (_, axis) => `joint_${axis}`);
  const info: RobotDatasetInfo = {
    name,
    uri: `memory:${name}`,
    contentHash: createHash('sha256').update(JSON.stringify(options)).digest('hex'),
    robotType: 'so100',
    fps: 30,
    frameCount,
    stateNames: joints,
    actionNames: joints,
    cameras: cameras.map((key) => ({ key, width, height })),
    episodes: goals.map((_, episodeIndex) => ({
      episodeIndex,
      from: episodeIndex * framesPerEpisode,
      to: (episodeIndex + 1) * framesPerEpisode,
    })),
    tasks: [task],
    moments: { state: momentsOfRows(states), action: momentsOfRows(actions) },
  };
  let decoded = 0;
  return {
    info,
    get decoded() {
      return decoded;
    },
    state: (frame) => states[frame]!.slice(),
    actionChunk: (frame, length) => {
      const end = (Math.floor(frame / framesPerEpisode) + 1) * framesPerEpisode - 1;
      const chunk = new Float32Array(length * axes);
      const isPad = new Uint8Array(length);
      for (let step = 0; step < length; step++) {
        chunk.set(actions[Math.min(frame + step, end)]!, step * axes);
        isPad[step] = frame + step > end ? 1 : 0;
      }
      return { actions: chunk, isPad };
    },
    task: () => task,
    images: (frame, keys) => {
      if (options.corrupt?.includes(frame) === true) {
        return Promise.reject(new Zk0Error('DATASET_FRAME', `video.mp4: frame ${frame} is damaged`));
      }
      decoded++;
      const goal = goals[Math.floor(frame / framesPerEpisode)]!;
      return Promise.resolve(keys.map((key) => paint(width, height, goal, cameras.indexOf(key))));
    },
    close: () => Promise.resolve(),
  };
}

/** The normaliser of a dataset alone. */
export function normalizerOf({ info }: RobotDataset): Normalizer {
  const spread = ({ mean, m2, count }: FeatureMoments): Normalizer['state'] => ({
    mean,
    std: m2.map((value) => Math.sqrt(value / count) || 1),
  });
  return { state: spread(info.moments.state), action: spread(info.moments.action) };
}

function paint(width: number, height: number, goal: { x: number; y: number }, camera: number): RgbImage {
  const data = new Uint8Array(width * height * 3).fill(40 + 20 * camera);
  const left = Math.floor(goal.x * (width - 6));
  const top = Math.floor(goal.y * (height - 6));
  for (let y = top; y < top + 6; y++) data.fill(230, (y * width + left) * 3, (y * width + left + 6) * 3);
  return { width, height, data };
}

/** Moments of rows of one size. */
export function momentsOfRows(rows: readonly Float32Array[]): FeatureMoments {
  const axes = [...rows[0]!.keys()];
  const mean = axes.map((axis) => rows.reduce((sum, row) => sum + row[axis]!, 0) / rows.length);
  return {
    count: rows.length,
    mean,
    m2: axes.map((axis) => rows.reduce((sum, row) => sum + (row[axis]! - mean[axis]!) ** 2, 0)),
    min: axes.map((axis) => Math.min(...rows.map((row) => row[axis]!))),
    max: axes.map((axis) => Math.max(...rows.map((row) => row[axis]!))),
  };
}
