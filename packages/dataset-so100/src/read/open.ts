import type { CameraInfo, FeatureMoments, RobotDatasetInfo } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import { mergeMoments, momentsOf } from '../stats/moments.ts';
import { createVideoDecoder, type VideoOptions } from '../video/choose-decoder.ts';
import { contentHash } from './content-hash.ts';
import { LeRobotDataset, type FrameLookup, type TimestampDrift } from './lerobot-dataset.ts';
import { chooseEpisodes, readRecording, type Recording } from './recording.ts';
import { readRows, type DatasetRows } from './rows.ts';
import { parseDatasetUri } from './uri.ts';
import { checkVideos } from './videos.ts';

/** How to open a dataset. */
export interface OpenOptions {
  /** Recorded episode numbers to open; default all, or what the address selects. */
  readonly episodes?: readonly number[];
  /** Camera name as recorded → name to give it, e.g. `observation.images.front` → `observation.images.camera1`. */
  readonly rename?: Readonly<Record<string, string>>;
  /**
   * How a row's frame is found in its video. `position` (default): the k-th frame of an episode is at `k / fps`, which
   * is where LeRobot's own recorder puts it. `timestamp`: at the row's recorded timestamp, as LeRobot's reader does; on
   * a dataset recorded with the wall clock this finds wrong frames or none.
   */
  readonly lookup?: FrameLookup;
  /** How far a frame may be from where it is looked for, in seconds; default half a frame. LeRobot's default is 1e-4. */
  readonly tolerance?: number;
  readonly video?: VideoOptions;
  /** Where demo and hub datasets are kept; default `$ZK0_HOME` or `~/.cache/zk0`. */
  readonly cacheDirectory?: string;
  readonly signal?: AbortSignal;
}

/** One recorded episode as {@link listEpisodes} tells it. */
export interface EpisodeSummary {
  readonly episodeIndex: number;
  /** Frames. */
  readonly length: number;
  readonly tasks: readonly string[];
}

/**
 * Opens a LeRobot dataset (v2.0, v2.1, v3.0): reads its metadata and rows, and checks that its videos are there and
 * complete. See {@link parseDatasetUri} for addresses. Close it after use.
 *
 * @throws DatasetError when anything is wrong with the address or the dataset
 */
export async function openDataset(uri: string, options: OpenOptions = {}): Promise<LeRobotDataset> {
  const { root, episodes: selected } = locateDataset(uri);
  const recording = await readRecording(root);
  const episodes = chooseEpisodes(recording, options.episodes ?? selected);
  const videos = await checkVideos(recording, episodes, options.signal);
  const rows = await readRows(recording, episodes, options.signal);
  const { cameras, recordedKeys } = renameCameras(videos.cameras, options.rename ?? {}, recording);
  const { info } = recording;
  const drift = timestampDrift(rows, info.fps);
  const described: RobotDatasetInfo = {
    name: recording.name,
    uri,
    contentHash: contentHash(recording, episodes, rows, videos, cameras),
    robotType: info.robotType,
    fps: info.fps,
    frameCount: rows.frameCount,
    stateNames: info.state.names,
    actionNames: info.action.names,
    cameras,
    episodes: episodes.map(({ episodeIndex }, i) => ({ episodeIndex, from: rows.offsets[i]!, to: rows.offsets[i + 1]! })),
    tasks: rows.taskTexts,
    moments: {
      state: episodeMoments(rows.state, info.state.names.length, rows.offsets),
      action: episodeMoments(rows.action, info.action.names.length, rows.offsets),
    },
  };
  return new LeRobotDataset({
    info: described,
    version: info.version,
    root,
    warnings: [...info.warnings, ...rows.warnings, ...videos.warnings, ...driftWarning(drift, info.fps)],
    drift,
    episodes,
    rows,
    recordedKeys,
    videoPaths: new Map([...videos.files].map(([file, { path }]) => [file, path])),
    createDecoder: () => createVideoDecoder(options.video),
    lookup: options.lookup ?? 'position',
    tolerance: options.tolerance ?? 0.5 / info.fps,
  });
}

/**
 * Lists the episodes of a dataset from its metadata alone: what is needed to split it before opening parts of it.
 *
 * @throws DatasetError when anything is wrong with the address or the metadata
 */
export async function listEpisodes(uri: string): Promise<readonly EpisodeSummary[]> {
  const { root, episodes } = locateDataset(uri);
  const recording = await readRecording(root);
  return chooseEpisodes(recording, episodes).map(({ episodeIndex, length, tasks }) => ({ episodeIndex, length, tasks }));
}

/**
 * Fails unless the dataset has a camera: a policy that sees cannot train without.
 *
 * @throws DatasetError `DATASET_NO_CAMERAS`
 */
export function requireCameras(info: RobotDatasetInfo): void {
  if (info.cameras.length > 0) return;
  throw new DatasetError('DATASET_NO_CAMERAS', `${info.uri} has no cameras, and this policy needs images`, {
    hint: 'Record with at least one camera, or choose another dataset.',
  });
}

function locateDataset(uri: string): { root: string; episodes: readonly number[] | null } {
  const parsed = parseDatasetUri(uri);
  if (parsed.scheme !== 'local') {
    throw new DatasetError('DATASET_URI', `${parsed.scheme}: addresses cannot be opened by this version`);
  }
  return { root: parsed.path, episodes: parsed.episodes };
}

function renameCameras(
  cameras: readonly CameraInfo[],
  rename: Readonly<Record<string, string>>,
  recording: Recording,
): { cameras: readonly CameraInfo[]; recordedKeys: ReadonlyMap<string, string> } {
  const recorded = cameras.map((camera) => camera.key);
  const unknown = Object.keys(rename).find((key) => !recorded.includes(key));
  if (unknown !== undefined) {
    throw new DatasetError(
      'DATASET_CAMERA_UNKNOWN',
      `Cannot rename "${unknown}": ${recording.name} has the cameras ${recorded.join(', ') || '(none)'}`,
      { hint: 'Write --rename <recorded name>=<new name>.' },
    );
  }
  const renamed = cameras.map((camera) => ({ ...camera, key: rename[camera.key] ?? camera.key }));
  const recordedKeys = new Map(renamed.map((camera, i) => [camera.key, recorded[i]!]));
  if (recordedKeys.size !== cameras.length) {
    const names = renamed.map((camera) => camera.key).join(', ');
    throw new DatasetError('DATASET_CAMERA_UNKNOWN', `Renaming gives two cameras of ${recording.name} one name: ${names}`);
  }
  return { cameras: renamed, recordedKeys };
}

/** Episode by episode, then merged: stays exact over millions of frames. */
function episodeMoments(values: Float32Array, size: number, offsets: readonly number[]): FeatureMoments {
  return mergeMoments(
    offsets.slice(0, -1).map((from, i) => momentsOf(values.subarray(from * size, offsets[i + 1]! * size), size)),
  );
}

function timestampDrift({ timestamp, offsets }: DatasetRows, fps: number): TimestampDrift {
  let fromGrid = 0;
  let step = 0;
  for (let episode = 0; episode + 1 < offsets.length; episode++) {
    const from = offsets[episode]!;
    for (let frame = from; frame < offsets[episode + 1]!; frame++) {
      fromGrid = Math.max(fromGrid, Math.abs(timestamp[frame]! - (frame - from) / fps));
      if (frame > from) step = Math.max(step, Math.abs(timestamp[frame]! - timestamp[frame - 1]! - 1 / fps));
    }
  }
  return { fromGrid, step };
}

function driftWarning({ fromGrid, step }: TimestampDrift, fps: number): string[] {
  if (fromGrid <= 1e-3) return [];
  const frames = (fromGrid * fps).toFixed(1);
  return [
    `Timestamps stray from ${fps} fps: by up to ${(step * 1000).toFixed(0)} ms a step and ${fromGrid.toFixed(3)} s ` +
      `(${frames} frames) within an episode; frames are taken by their position.`,
  ];
}

