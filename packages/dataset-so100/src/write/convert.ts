import { CancelledError, type RgbImage } from '@zk0/core';
import { DatasetFolder } from '../format/path-template.ts';
import type { LeRobotDataset } from '../read/lerobot-dataset.ts';
import { openDataset } from '../read/open.ts';
import type { SourceOptions } from '../read/source.ts';
import type { VideoOptions } from '../video/choose-decoder.ts';
import type { WrittenDataset } from './dataset-writer.ts';
import { DatasetTables, type EpisodePictures, type EpisodeRows, type EpisodeVideo } from './dataset-tables.ts';
import { DatasetWriteError } from './errors.ts';
import type { FeatureStatistics } from './episode-stats.ts';
import { countLevels, episodeImageStatistics } from './image-levels.ts';
import { PictureCopies } from './picture-copies.ts';
import { sourceFeatures } from './source-features.ts';
import { stageDirectory } from './staging.ts';
import { VideoCopies } from './video-copies.ts';

export interface ConvertOptions extends SourceOptions {
  /**
   * `recorded` (default): as they are. `regular`: frame k of an episode at `k / fps`, which LeRobot needs to find those
   * of datasets that were recorded with the wall clock.
   */
  readonly timestamps?: 'recorded' | 'regular';
  /** How frames are decoded for the image statistics. */
  readonly video?: VideoOptions;
  /** Called after each episode. */
  readonly onEpisode?: (progress: { readonly episodes: number; readonly total: number }) => void;
}

export interface ConversionResult extends WrittenDataset {
  /** Features that only the old dataset has: v3.0 as written here has no columns for them. */
  readonly leftOut: readonly string[];
  /** What was unusual about the old dataset and how it was read. */
  readonly warnings: readonly string[];
}

/**
 * Converts a LeRobot v2.0 or v2.1 dataset to v3.0. The original is only read.
 *
 * Rows are as recorded; columns that the recorder left out (`index`, `task_index`, …) are added, float64
 * becomes float32, episodes are numbered from 0. Videos are copied byte for byte, one file per episode, which v3.0
 * allows: nothing is encoded again, whatever the codec. So are pictures, into the rows, also those that had files of
 * their own. Statistics are computed anew as LeRobot computes them.
 *
 * @param from address of the dataset, see `openDataset`
 * @param to folder of the new one; must not exist
 * @throws DatasetError when the dataset cannot be read
 * @throws DatasetWriteError `DATASET_NOT_CONVERTIBLE`, `DATASET_EXISTS`
 * @throws CancelledError when `signal` aborts; nothing is left behind
 */
export async function convertDataset(
  from: string,
  to: string,
  options: ConvertOptions = {},
): Promise<ConversionResult> {
  const dataset = await openDataset(from, options);
  try {
    if (dataset.version === 'v3.0') {
      throw new DatasetWriteError('DATASET_NOT_CONVERTIBLE', `${dataset.root} is in format v3.0 already`, {
        hint: 'Use it as it is.',
      });
    }
    const { leftOut, pixelFormats } = await sourceFeatures(dataset.root);
    const staging = await stageDirectory(to);
    try {
      const tables = await convertInto(staging.path, dataset, pixelFormats, options);
      await staging.commit();
      const { episodeCount, frameCount, tasks } = tables;
      return { path: to, episodes: episodeCount, frames: frameCount, tasks, leftOut, warnings: dataset.warnings };
    } catch (error) {
      await staging.discard();
      throw error;
    }
  } finally {
    await dataset.close();
  }
}

async function convertInto(
  root: string,
  dataset: LeRobotDataset,
  pixelFormats: ReadonlyMap<string, string>,
  options: ConvertOptions,
): Promise<DatasetTables> {
  const { info } = dataset;
  const inRows = new Set(dataset.pictureCameras);
  const cameras = info.cameras.filter(({ key }) => !inRows.has(key));
  const tables = new DatasetTables(root, { ...info, cameras, pictures: info.cameras.filter(({ key }) => inRows.has(key)) });
  const copies = new VideoCopies(root, pixelFormats);
  const pictures = new PictureCopies(await DatasetFolder.open(dataset.root));
  try {
    for (const [number, { from, to }] of info.episodes.entries()) {
      const place = placeOf(dataset, number, options.timestamps ?? 'recorded');
      const videos = new Map<string, EpisodeVideo>();
      for (const { key } of cameras) {
        const position = await copies.add(key, dataset.videoPosition(from, key).file);
        const statistics = await imageStatisticsOf((frame) => dataset.images(from + frame, [key]).then(([image]) => image!), to - from, options.signal);
        videos.set(key, { position, fromTimestamp: place.begins, toTimestamp: place.begins + place.lasts, statistics });
      }
      const stored = new Map<string, EpisodePictures>();
      for (const key of inRows) stored.set(key, await episodePictures(dataset, from, to, key, pictures, options.signal));
      const rows = episodeRows(dataset, from, to);
      if (place.isRegular) rows.timestamps.forEach((_, frame, all) => (all[frame] = frame / info.fps));
      await tables.append(rows, videos, stored);
      options.onEpisode?.({ episodes: number + 1, total: info.episodes.length });
    }
  } finally {
    await pictures.close();
  }
  await tables.finish(copies.codings);
  return tables;
}

function episodeRows(dataset: LeRobotDataset, from: number, to: number): EpisodeRows {
  const { stateNames, actionNames } = dataset.info;
  const length = to - from;
  const state = new Float32Array(length * stateNames.length);
  const timestamps = new Float32Array(length);
  const tasks: string[] = [];
  for (let frame = 0; frame < length; frame++) {
    state.set(dataset.state(from + frame), frame * stateNames.length);
    timestamps[frame] = dataset.timestamp(from + frame);
    tasks.push(dataset.task(from + frame));
  }
  const action = new Float32Array(length * actionNames.length);
  for (let frame = 0; frame < length; frame++) {
    action.set(dataset.actionChunk(from + frame, 1).actions, frame * actionNames.length);
  }
  return { state, action, timestamps, tasks };
}

/** Where an episode lies in its videos, so that a reader that looks frames up by timestamp finds those that belong to the rows. */
function placeOf(dataset: LeRobotDataset, number: number, wanted: 'recorded' | 'regular'): { begins: number; lasts: number; isRegular: boolean } {
  const { fps, episodes } = dataset.info;
  const { from, to } = episodes[number]!;
  const first = dataset.timestamp(from);
  if (dataset.pairing(number) === 'position') return { begins: 0, lasts: (to - from) / fps, isRegular: wanted === 'regular' };
  // Rows that were cut out in between leave no regular timestamps that lie on their frames: those recorded are kept.
  let isWhole = true;
  for (let frame = from; frame < to && isWhole; frame++) isWhole = Math.abs(dataset.timestamp(frame) - first - (frame - from) / fps) < 1e-3;
  if (wanted === 'regular' && isWhole) return { begins: Math.round(first * fps) / fps, lasts: (to - from) / fps, isRegular: true };
  return { begins: 0, lasts: dataset.timestamp(to - 1) + 1 / fps, isRegular: false };
}

async function episodePictures(
  dataset: LeRobotDataset,
  from: number,
  to: number,
  camera: string,
  copies: PictureCopies,
  signal: AbortSignal | undefined,
): Promise<EpisodePictures> {
  const positions = Array.from({ length: to - from }, (_, frame) => dataset.picturePosition(from + frame, camera));
  const size = dataset.info.cameras.find(({ key }) => key === camera)!;
  const copied = await copies.of(positions);
  const statistics = await imageStatisticsOf((frame) => copies.store.picture(positions[frame]!, size), to - from, signal);
  return { ...copied, statistics };
}

async function imageStatisticsOf(
  imageAt: (frame: number) => Promise<RgbImage>,
  length: number,
  signal: AbortSignal | undefined,
): Promise<FeatureStatistics> {
  return await episodeImageStatistics(length, async (frame) => {
    if (signal?.aborted === true) throw new CancelledError('Converting the dataset');
    return countLevels(await imageAt(frame));
  });
}
