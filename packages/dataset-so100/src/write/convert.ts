import { constants } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CancelledError } from '@zk0/core';
import { z } from 'zod';
import { parseInfo } from '../format/info.ts';
import { DatasetFolder } from '../format/path-template.ts';
import { parsePythonJson, readText } from '../format/text-files.ts';
import type { LeRobotDataset } from '../read/lerobot-dataset.ts';
import { openDataset } from '../read/open.ts';
import type { VideoOptions } from '../video/choose-decoder.ts';
import { readMp4Summary } from '../video/mp4.ts';
import type { WrittenDataset } from './dataset-writer.ts';
import { DatasetTables, type EpisodeRows, type EpisodeVideo } from './dataset-tables.ts';
import { DatasetWriteError } from './errors.ts';
import { countLevels, episodeImageStatistics } from './image-levels.ts';
import { FIRST_FILE, INDEX_FEATURES, nextFile, PATHS, type FilePosition, type VideoCoding } from './layout.ts';
import { stageDirectory } from './staging.ts';

export interface ConvertOptions {
  /**
   * `recorded` (default): as they are. `regular`: frame k of an episode at `k / fps`, which LeRobot needs to find those
   * of datasets that were recorded with the wall clock.
   */
  readonly timestamps?: 'recorded' | 'regular';
  /** How frames are decoded for the image statistics. */
  readonly video?: VideoOptions;
  readonly signal?: AbortSignal;
  /** Called after each episode. */
  readonly onProgress?: (progress: { readonly episodes: number; readonly total: number }) => void;
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
 * allows: nothing is encoded again, whatever the codec. Statistics are computed anew as LeRobot computes them.
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
  const { video, signal } = options;
  const dataset = await openDataset(from, {
    ...(video === undefined ? {} : { video }),
    ...(signal === undefined ? {} : { signal }),
  });
  try {
    const { leftOut, pixelFormats } = await checkConvertible(dataset);
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
  const tables = new DatasetTables(root, info);
  const codings = new Map<string, VideoCoding>();
  let position = FIRST_FILE;
  for (const [number, { from, to }] of info.episodes.entries()) {
    const videos = new Map<string, EpisodeVideo>();
    for (const { key } of info.cameras) {
      const source = dataset.videoPosition(from, key).file;
      // `info.json` tells how the first file of a camera is coded.
      if (!codings.has(key)) codings.set(key, await codingOf(source, pixelFormats.get(key)));
      await copyVideo(source, join(root, PATHS.video(key, position)));
      videos.set(key, await episodeVideo(dataset, from, to, key, position, options.signal));
    }
    const rows = episodeRows(dataset, from, to);
    if (options.timestamps === 'regular') rows.timestamps.forEach((_, frame, all) => (all[frame] = frame / info.fps));
    await tables.append(rows, videos);
    position = nextFile(position);
    options.onProgress?.({ episodes: number + 1, total: info.episodes.length });
  }
  await tables.finish(codings);
  return tables;
}

interface Convertible {
  /** Features that get lost. */
  readonly leftOut: readonly string[];
  /** By camera, where the recorder noted it. */
  readonly pixelFormats: ReadonlyMap<string, string>;
}

/** @throws DatasetWriteError `DATASET_NOT_CONVERTIBLE` */
async function checkConvertible(dataset: LeRobotDataset): Promise<Convertible> {
  const folder = await DatasetFolder.open(dataset.root);
  const infoFile = await folder.resolve('meta/info.json');
  const json = parsePythonJson(await readText(infoFile), infoFile);
  const info = parseInfo(json, infoFile);
  if (info.version === 'v3.0') {
    throw new DatasetWriteError('DATASET_NOT_CONVERTIBLE', `${dataset.root} is in format v3.0 already`, {
      hint: 'Use it as it is.',
    });
  }
  const stills = info.cameras.find(({ kind }) => kind === 'image');
  if (stills !== undefined) {
    throw new DatasetWriteError(
      'DATASET_NOT_CONVERTIBLE',
      `${dataset.root} keeps the pictures of ${stills.key} in its rows`,
      {
        hint: 'Only cameras recorded as video can be converted.',
      },
    );
  }
  const unsafe = dataset.info.cameras.find(({ key }) => !/^\w[\w.-]*$/.test(key));
  if (unsafe !== undefined) {
    throw new DatasetWriteError(
      'DATASET_NOT_CONVERTIBLE',
      `Camera name ${JSON.stringify(unsafe.key)} is no folder name`,
      {
        hint: 'Rename it in meta/info.json of a copy of the dataset.',
      },
    );
  }
  const { features } = z.looseObject({ features: rawFeatures }).parse(json);
  const kept = new Set([info.state.key, info.action.key, ...info.cameras.map(({ key }) => key), ...INDEX_FEATURES]);
  const pixelFormats = Object.entries(features).flatMap(([key, feature]) => {
    const format = feature.info?.['video.pix_fmt'] ?? feature.video_info?.['video.pix_fmt'];
    return format == null ? [] : [[key, format] as const];
  });
  return {
    leftOut: Object.keys(features).filter((feature) => feature !== 'timestamp' && !kept.has(feature)),
    pixelFormats: new Map(pixelFormats),
  };
}

/** What the reader does not need of `info.json` and a converter does. */
const videoDetails = z.looseObject({ 'video.pix_fmt': z.string().max(32).nullish() }).nullish();
const rawFeatures = z.record(z.string(), z.looseObject({ info: videoDetails, video_info: videoDetails }));

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

async function episodeVideo(
  dataset: LeRobotDataset,
  from: number,
  to: number,
  camera: string,
  position: FilePosition,
  signal: AbortSignal | undefined,
): Promise<EpisodeVideo> {
  const statistics = await episodeImageStatistics(to - from, async (frame) => {
    if (signal?.aborted === true) throw new CancelledError('Converting the dataset');
    const [image] = await dataset.images(from + frame, [camera]);
    return countLevels(image!);
  });
  return { position, fromTimestamp: 0, toTimestamp: (to - from) / dataset.info.fps, statistics };
}

async function copyVideo(source: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await copyFile(source, target, constants.COPYFILE_FICLONE);
}

/** FFmpeg's names of the codecs that the reader accepts, by their names in an MP4. */
const CODEC_NAMES: Readonly<Record<string, string>> = {
  av01: 'av1',
  avc1: 'h264',
  avc3: 'h264',
  hvc1: 'hevc',
  hev1: 'hevc',
  mp4v: 'mpeg4',
  vp09: 'vp9',
};

async function codingOf(file: string, pixelFormat: string | undefined): Promise<VideoCoding> {
  const { codec } = await readMp4Summary(file);
  const name = CODEC_NAMES[codec];
  if (name === undefined) {
    throw new DatasetWriteError('DATASET_NOT_CONVERTIBLE', `${file} is coded as "${codec}", which is not known here`);
  }
  return { codec: name, ...(pixelFormat === undefined ? {} : { pixelFormat }) };
}
