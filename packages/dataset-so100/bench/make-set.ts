import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Random, type RgbImage } from '@zk0/core';
import { createDatasetWriter, type EpisodeFrame, type VideoCodec } from '@zk0/dataset-so100';

export const WIDTH = 640;
export const HEIGHT = 480;
export const EPISODES = 50;
const FRAMES = 40;
const FPS = 30;
const CAMERAS = ['observation.images.top', 'observation.images.wrist'];

/**
 * A v3.0 dataset of 50 episodes with two 640×480 cameras, coded as LeRobot codes them (AV1 or H.264, a key frame every
 * second frame): moving shapes and sensor noise. Made once, kept in the temporary folder.
 */
export async function benchSet(codec: VideoCodec): Promise<string> {
  const root = path.join(tmpdir(), 'zk0-bench', `${codec}-${EPISODES}x${FRAMES}`);
  if ((await stat(root).catch(() => null)) !== null) return root;
  const joints = Array.from({ length: 6 }, (_, joint) => `joint_${joint}`);
  const writer = await createDatasetWriter(root, {
    fps: FPS,
    robotType: 'so101_follower',
    stateNames: joints,
    actionNames: joints,
    cameras: CAMERAS.map((key) => ({ key, height: HEIGHT, width: WIDTH })),
    codec,
  });
  for (let episode = 0; episode < EPISODES; episode++) await writer.addEpisode({ task: 'bench', frames: episodeFrames(episode) });
  await writer.finish();
  return root;
}

function* episodeFrames(episode: number): Generator<EpisodeFrame> {
  const random = new Random(episode);
  for (let k = 0; k < FRAMES; k++) {
    const state = Float32Array.from({ length: 6 }, (_, joint) => Math.sin((episode + k / 10) * (joint + 1)));
    yield { state, action: state, images: Object.fromEntries(CAMERAS.map((key, camera) => [key, picture(episode, k, camera, random)])) };
  }
}

function picture(episode: number, k: number, camera: number, random: Random): RgbImage {
  const data = new Uint8Array(WIDTH * HEIGHT * 3);
  const seed = random.below(2 ** 30);
  const [cx, cy] = [WIDTH * (0.2 + 0.015 * k), HEIGHT * (0.5 + 0.3 * Math.sin(episode + camera))];
  let noise = seed | 1;
  for (let y = 0, i = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++, i += 3) {
      noise = (Math.imul(noise, 1_664_525) + 1_013_904_223) | 0;
      const grain = (noise >>> 24) & 7;
      const isThing = (x - cx) ** 2 + (y - cy) ** 2 < 3600;
      const tile = ((x >> 5) ^ (y >> 5)) & 1 ? 40 : 0;
      data[i] = (isThing ? 200 : 90 + tile) + grain;
      data[i + 1] = (isThing ? 60 : 100 + tile) + grain;
      data[i + 2] = ((x + y + episode * 7) & 127) + 40 + grain;
    }
  }
  return { width: WIDTH, height: HEIGHT, data };
}
