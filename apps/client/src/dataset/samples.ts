import type { RgbImage } from '@zk0/core';
import { DatasetError, type LeRobotDataset } from '@zk0/dataset-so100';

/** An image of a contact sheet; null where it cannot be decoded. */
export interface SampledImage {
  readonly camera: string;
  /** Position in the episode, from 0. */
  readonly position: number;
  readonly image: RgbImage | null;
}

/** One episode, sampled for pictures of a dataset. */
export interface SampledEpisode {
  readonly episodeIndex: number;
  /** Frames. */
  readonly length: number;
  readonly task: string;
  /** By camera, each first, middle and last. */
  readonly images: readonly SampledImage[];
}

/** `count` of `length` things, evenly spread, the first and the last among them. */
export function evenly(length: number, count: number): readonly number[] {
  if (length <= count) return Array.from({ length }, (_, i) => i);
  if (count === 1) return [0];
  return Array.from({ length: count }, (_, i) => Math.round((i * (length - 1)) / (count - 1)));
}

/** Decodes the first, middle and last frame of each camera of some episodes. */
export async function sampleEpisodes(
  dataset: LeRobotDataset,
  count: number,
  options: { readonly signal?: AbortSignal; readonly onEpisode?: (done: number, total: number) => void } = {},
): Promise<readonly SampledEpisode[]> {
  const { episodes, cameras } = dataset.info;
  const chosen = evenly(episodes.length, count);
  const sampled: SampledEpisode[] = [];
  for (const index of chosen) {
    options.signal?.throwIfAborted();
    options.onEpisode?.(sampled.length, chosen.length);
    const { episodeIndex, from, to } = episodes[index]!;
    const images: SampledImage[] = [];
    for (const { key } of cameras) {
      for (const position of [0, (to - from - 1) >> 1, to - from - 1]) {
        images.push({ camera: key, position, image: await imageOrNull(dataset, from + position, key) });
      }
    }
    sampled.push({ episodeIndex, length: to - from, task: dataset.task(from), images });
  }
  return sampled;
}

async function imageOrNull(dataset: LeRobotDataset, frame: number, camera: string): Promise<RgbImage | null> {
  try {
    return (await dataset.images(frame, [camera]))[0] ?? null;
  } catch (error) {
    // A sheet with a gap shows more than none; `validate` says what is wrong with the frame.
    if (error instanceof DatasetError && error.code === 'DATASET_FRAME') return null;
    throw error;
  }
}
