import type { RgbImage } from '@zk0/core';
import { imageStatistics, sampledImageIndices, type FeatureStatistics } from './episode-stats.ts';

/** Red, green and blue, 256 levels each. */
const LEVELS = 3 * 256;

/** Pixels of one image at each level of each channel, as {@link imageStatistics} takes them. */
export type ImageLevels = Uint32Array;

/** Counts an image's pixels by level; of large images every n-th along both axes, as LeRobot does. */
export function countLevels({ data, width, height }: RgbImage): ImageLevels {
  const levels = new Uint32Array(LEVELS);
  const stride = sampleStride(width, height);
  for (let y = 0; y < height; y += stride) {
    for (let x = 0; x < width; x += stride) {
      const pixel = (y * width + x) * 3;
      levels[data[pixel]!]!++;
      levels[256 + data[pixel + 1]!]!++;
      levels[512 + data[pixel + 2]!]!++;
    }
  }
  return levels;
}

/**
 * Statistics of an episode of `length` images, taken over those that LeRobot samples; `levelsOf` is asked for each of
 * them once, in order.
 */
export async function episodeImageStatistics(
  length: number,
  levelsOf: (frame: number) => ImageLevels | Promise<ImageLevels>,
): Promise<FeatureStatistics> {
  const samples = sampledImageIndices(length);
  const total = new Float64Array(LEVELS);
  for (const sample of samples) {
    const levels = await levelsOf(sample);
    for (let level = 0; level < LEVELS; level++) total[level]! += levels[level]!;
  }
  return imageStatistics(total, samples.length);
}

/** Every how many pixels LeRobot looks at (`auto_downsample_height_width` of `compute_stats.py`). */
function sampleStride(width: number, height: number): number {
  if (Math.max(width, height) < 300) return 1;
  return Math.trunc((width > height ? width : height) / 150);
}
