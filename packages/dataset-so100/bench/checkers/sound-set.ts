import { Random, type RgbImage } from '@zk0/core';
import { createDatasetWriter, type EpisodeFrame } from '../../src/write/index.ts';

export const FPS = 30;
export const EPISODES = 24;
export const FRAMES = 75;
export const CAMERA = 'observation.images.top';
export const SIZE = { width: 96, height: 64 };
export const JOINTS = ['shoulder_pan', 'shoulder_lift', 'elbow_flex', 'wrist_flex', 'wrist_roll', 'gripper'].map((name) => `${name}.pos`);

/** An episode before it is written. */
export interface Episode {
  task: string;
  /** By frame. */
  state: number[][];
  action: number[][];
  images: RgbImage[];
}

/** Degrees that one count of the encoder is. */
const COUNT = 360 / 4096;

/** Episodes of one task as an SO-101 records it: every joint moves, follows its leader three frames late, in steps of the encoder. */
export function soundEpisodes(seed: string): Episode[] {
  const random = new Random(seed);
  return Array.from({ length: EPISODES }, () => {
    const goal = [0, -20, 30, 40, 10, 60].map((value, joint) => value + (joint === 5 ? 20 : 60) * (random.uniform() - 0.5));
    const rest = [0, -90, 90, 70, 5, 8].map((value) => value + 6 * (random.uniform() - 0.5));
    const frames = FRAMES + random.below(12) - 6;
    const pose = (frame: number): number[] =>
      goal.map((value, joint) => {
        const phase = Math.min(1, Math.max(0, frame / frames));
        const way = 0.5 - 0.5 * Math.cos(2 * Math.PI * phase);
        const sway = 3 * Math.sin(frame / 4 + joint);
        const real = rest[joint]! + (value - rest[joint]!) * way + (joint === 5 ? 0.3 : 1) * sway;
        return Math.round(real / COUNT) * COUNT;
      });
    const action = Array.from({ length: frames }, (_, frame) => pose(frame + 3));
    const state = Array.from({ length: frames }, (_, frame) => pose(frame));
    return { task: 'Put the cube into the bowl.', state, action, images: state.map((values) => picture(values, random)) };
  });
}

/** A scene with edges and noise, in which something moves as the arm does. */
function picture(state: readonly number[], random: Random): RgbImage {
  const { width, height } = SIZE;
  const data = new Uint8Array(width * height * 3);
  const [cx, cy] = [width / 2 + state[0]! / 2, height / 2 + state[1]! / 4];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 3) {
      const tile = ((x >> 3) ^ (y >> 3)) & 1 ? 70 : 0;
      const isThing = (x - cx) ** 2 + (y - cy) ** 2 < 80;
      const grain = random.below(6);
      data[i] = (isThing ? 210 : 80 + tile) + grain;
      data[i + 1] = (isThing ? 50 : 90 + tile) + grain;
      data[i + 2] = 60 + tile + grain;
    }
  }
  return { width, height, data };
}

/** Writes episodes as a v3.0 dataset, H.264. */
export async function writeSet(root: string, episodes: readonly Episode[]): Promise<void> {
  const writer = await createDatasetWriter(root, { fps: FPS, robotType: 'so101_follower', stateNames: JOINTS, actionNames: JOINTS, cameras: [{ key: CAMERA, ...SIZE }], codec: 'h264' });
  for (const { task, state, action, images } of episodes) {
    const frames = function* (): Generator<EpisodeFrame> {
      for (const [k, values] of state.entries()) yield { state: values, action: action[k]!, images: { [CAMERA]: images[k]! } };
    };
    await writer.addEpisode({ task, frames: frames() });
  }
  await writer.finish();
}
