import type { CameraInfo, RobotDatasetInfo } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import { TableThread } from '../format/table-thread.ts';
import { episodeMoments } from '../stats/moments.ts';
import { chooseBackend, type VideoOptions } from '../video/choose-decoder.ts';
import { DecoderPool } from '../video/decoder-pool.ts';
import { contentHash, fileFingerprint } from './content-hash.ts';
import { EpisodeTables } from './episode-tables.ts';
import { ImageStore } from './image-store.ts';
import { LeRobotDataset, type FrameLookup } from './lerobot-dataset.ts';
import { chooseEpisodes, readRecording } from './recording.ts';
import { readRows } from './rows.ts';
import { locateDataset, type SourceOptions } from './source.ts';
import { timestampDrift, type TimestampDrift } from './timestamp-drift.ts';
import { checkVideos } from './videos.ts';

/** How to open a dataset. */
export interface OpenOptions extends SourceOptions {
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
  const source = await locateDataset(uri, options);
  const { root, name, commit } = source;
  const { recording, episodes, videos, rows } = await TableThread.use(async (tables) => {
    const found = await readRecording(root, tables);
    const chosen = chooseEpisodes(found, options.episodes ?? source.episodes);
    await source.fetch(chosen, found.info);
    return {
      recording: found,
      episodes: chosen,
      videos: await checkVideos(found, chosen, options.signal),
      rows: await readRows(found, chosen, new EpisodeTables(found, tables, source.fetchData), options.signal),
    };
  });
  const codecs = new Set([...videos.files.values()].map(({ summary }) => summary.codec));
  // Chosen now, so that a machine that cannot decode says so before training begins.
  const decoding = codecs.size === 0 ? null : await chooseBackend([...codecs], options.video);
  const { cameras, recordedKeys } = renameCameras(videos.cameras, options.rename ?? {}, name);
  const { info } = recording;
  const hasPictures = info.cameras.some(({ kind }) => kind === 'image');
  const pictures = hasPictures ? await Promise.all([...new Set(rows.files)].map(fileFingerprint)) : [];
  const drift = timestampDrift(rows, info.fps);
  const described: RobotDatasetInfo = {
    name,
    uri,
    ...(commit === undefined ? {} : { commit }),
    contentHash: contentHash({ recording, episodes, rows, videos, cameras, pictures }),
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
    warnings: [...source.warnings, ...info.warnings, ...rows.warnings, ...videos.warnings, ...driftWarning(drift, info.fps)],
    drift,
    episodes,
    rows,
    recordedKeys,
    videoPaths: new Map([...videos.files].map(([file, { path }]) => [file, path])),
    createDecoder: () => new DecoderPool(decoding!.backend, decoding!.report.ffmpeg, options.video),
    pictures: new ImageStore(recording.folder),
    lookup: options.lookup ?? 'position',
    tolerance: options.tolerance ?? 0.5 / info.fps,
  });
}

/**
 * Lists the episodes of a dataset from its metadata alone: what is needed to split it before opening parts of it.
 *
 * @throws DatasetError when anything is wrong with the address or the metadata
 */
export async function listEpisodes(uri: string, options: SourceOptions = {}): Promise<readonly EpisodeSummary[]> {
  const { root, episodes } = await locateDataset(uri, options);
  const recording = await TableThread.use((tables) => readRecording(root, tables));
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

function renameCameras(
  cameras: readonly CameraInfo[],
  rename: Readonly<Record<string, string>>,
  name: string,
): { cameras: readonly CameraInfo[]; recordedKeys: ReadonlyMap<string, string> } {
  const recorded = cameras.map((camera) => camera.key);
  const unknown = Object.keys(rename).find((key) => !recorded.includes(key));
  if (unknown !== undefined) {
    throw new DatasetError(
      'DATASET_CAMERA_UNKNOWN',
      `Cannot rename "${unknown}": ${name} has the cameras ${recorded.join(', ') || '(none)'}`,
      { hint: 'Write --rename <recorded name>=<new name>.' },
    );
  }
  const renamed = cameras.map((camera) => ({ ...camera, key: rename[camera.key] ?? camera.key }));
  const recordedKeys = new Map(renamed.map((camera, i) => [camera.key, recorded[i]!]));
  if (recordedKeys.size !== cameras.length) {
    const names = renamed.map((camera) => camera.key).join(', ');
    throw new DatasetError('DATASET_CAMERA_UNKNOWN', `Renaming gives two cameras of ${name} one name: ${names}`);
  }
  return { cameras: renamed, recordedKeys };
}

function driftWarning({ fromGrid, step }: TimestampDrift, fps: number): string[] {
  if (fromGrid <= 1e-3) return [];
  const frames = (fromGrid * fps).toFixed(1);
  return [
    `Timestamps stray from ${fps} fps: by up to ${(step * 1000).toFixed(0)} ms a step and ${fromGrid.toFixed(3)} s ` +
      `(${frames} frames) within an episode; frames are taken by their position.`,
  ];
}

