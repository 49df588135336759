import type { CameraInfo, RobotDatasetInfo } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import { TableThread } from '../format/table-thread.ts';
import { episodeMoments } from '../stats/moments.ts';
import { chooseBackend, type VideoOptions } from '../video/choose-decoder.ts';
import { DecoderPool } from '../video/decoder-pool.ts';
import type { FrameClock } from '../video/frame-clock.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import { contentHash, fileFingerprint } from './content-hash.ts';
import { formatEpisodeList } from './episode-list.ts';
import { pairEpisode, spansOf } from './episode-pairing.ts';
import { EpisodeTables } from './episode-tables.ts';
import type { Pairing } from './frame-pairing.ts';
import { ImageStore } from './image-store.ts';
import { LeRobotDataset, type FrameLookup } from './lerobot-dataset.ts';
import { chooseSound } from './choose-sound.ts';
import { readRecording, type Recording } from './recording.ts';
import { readRows, type DatasetRows } from './rows.ts';
import { locateDataset, type SourceOptions } from './source.ts';
import { timestampDrift, type TimestampDrift } from './timestamp-drift.ts';
import type { UnitConvention } from '../units/infer-units.ts';
import { unitsOf } from '../units/units-of.ts';
import { checkVideos, type DatasetVideos } from './videos.ts';

/** How to open a dataset. */
export interface OpenOptions extends SourceOptions {
  /** Recorded episode numbers to open; default all, or what the address selects. */
  readonly episodes?: readonly number[];
  /** Camera name as recorded → name to give it, e.g. `observation.images.front` → `observation.images.camera1`. */
  readonly rename?: Readonly<Record<string, string>>;
  /** Have `rename` name cameras that this dataset does not have: for several datasets that share one list, see {@link openDatasets}. */
  readonly renameOthers?: boolean;
  /**
   * How a row's frame is found in its video. `evidence` (default): decided for each episode, see `decidePairing`. `position`: the
   * k-th frame of an episode is at `k / fps`, which is where LeRobot's own recorder puts it. `timestamp`: at the row's recorded
   * timestamp, as LeRobot's reader does; on a dataset recorded with the wall clock this finds wrong frames or none.
   */
  readonly lookup?: FrameLookup;
  /** How far a frame may be from where it is looked for, in seconds; default half a frame. LeRobot's default is 1e-4. */
  readonly tolerance?: number;
  readonly video?: VideoOptions;
  /** Units of all joints, where they cannot be inferred or are inferred wrongly; default as the address says, else by inference, see `inferUnits`. */
  readonly units?: UnitConvention;
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
    const chosen = await chooseSound(found, source, tables, options.episodes ?? source.episodes);
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
  const { cameras, recordedKeys } = renameCameras(videos.cameras, options.rename ?? {}, name, options.renameOthers === true);
  const { info } = recording;
  const hasPictures = info.cameras.some(({ kind }) => kind === 'image');
  const pictures = hasPictures ? await Promise.all([...new Set(rows.files)].map(fileFingerprint)) : [];
  const drift = timestampDrift(rows, info.fps);
  const { pairings, notes } = pairAll(recording, episodes, rows, videos, options.lookup ?? source.lookup);
  const units = unitsOf(info, rows, options.units ?? source.units);
  const hashed = { recording, episodes, rows, videos, pictures };
  const isRenamed = cameras.some(({ key }, i) => key !== videos.cameras[i]!.key);
  const described: RobotDatasetInfo = {
    name,
    uri,
    ...(commit === undefined ? {} : { commit }),
    contentHash: contentHash({ ...hashed, cameras }),
    ...(isRenamed ? { recordedHash: contentHash({ ...hashed, cameras: videos.cameras }) } : {}),
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
    joints: units.joints,
    recording: info.fingerprint,
  };
  return new LeRobotDataset({
    info: described,
    version: info.version,
    root,
    warnings: [...source.warnings, ...info.warnings, ...rows.warnings, ...videos.warnings, ...driftWarning(drift, info.fps, notes)],
    drift,
    episodes,
    rows,
    recordedKeys,
    videoPaths: new Map([...videos.files].map(([file, { path }]) => [file, path])),
    createDecoder: () => new DecoderPool(decoding!.backend, decoding!.report.ffmpeg, options.video),
    pictures: new ImageStore(recording.folder),
    pairings,
    clocks: irregularClocks(videos),
    tolerance: options.tolerance ?? 0.5 / info.fps,
  });
}

/**
 * Lists the episodes of a dataset from its metadata alone (and its rows, where the address asks for a score): what is needed to split
 * it before opening parts of it.
 *
 * @throws DatasetError when anything is wrong with the address or the metadata
 */
export async function listEpisodes(uri: string, options: SourceOptions = {}): Promise<readonly EpisodeSummary[]> {
  const source = await locateDataset(uri, options);
  const chosen = await TableThread.use(async (tables) => chooseSound(await readRecording(source.root, tables), source, tables));
  return chosen.map(({ episodeIndex, length, tasks }) => ({ episodeIndex, length, tasks }));
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
  renameOthers: boolean,
): { cameras: readonly CameraInfo[]; recordedKeys: ReadonlyMap<string, string> } {
  const recorded = cameras.map((camera) => camera.key);
  const unknown = Object.keys(rename).find((key) => !recorded.includes(key));
  if (unknown !== undefined && !renameOthers) {
    throw new DatasetError(
      'DATASET_CAMERA_UNKNOWN',
      `Cannot rename "${unknown}": ${name} has the cameras ${recorded.join(', ') || '(none)'}`,
      { hint: 'Write --rename <recorded name>=<new name>.' },
    );
  }
  const renamed = cameras.map((camera) => {
    const to = rename[camera.key] ?? camera.key;
    return to === camera.key ? camera : { ...camera, key: to, recordedAs: camera.key };
  });
  const recordedKeys = new Map(renamed.map((camera, i) => [camera.key, recorded[i]!]));
  if (recordedKeys.size !== cameras.length) {
    const names = renamed.map((camera) => camera.key).join(', ');
    throw new DatasetError('DATASET_CAMERA_UNKNOWN', `Renaming gives two cameras of ${name} one name: ${names}`);
  }
  return { cameras: renamed, recordedKeys };
}

/** Decides about every episode; says what was decided where position and timestamp do not name the same frames. */
function pairAll(
  recording: Recording,
  episodes: readonly EpisodeRecord[],
  rows: DatasetRows,
  videos: DatasetVideos,
  lookup: FrameLookup,
): { readonly pairings: readonly Pairing[]; readonly notes: ReadonlyMap<Pairing, readonly number[]> } {
  const notes = new Map<Pairing, number[]>();
  const pairings = episodes.map((episode, i): Pairing => {
    if (lookup !== 'evidence') return lookup;
    const timestamps = rows.timestamp.subarray(rows.offsets[i], rows.offsets[i + 1]);
    const spans = spansOf(recording, episode, (file) => videos.files.get(file)?.summary);
    const { pairing, why } = pairEpisode(recording, episode, timestamps, spans);
    if (why !== null) notes.set(pairing, [...(notes.get(pairing) ?? []), episode.episodeIndex]);
    return pairing;
  });
  return { pairings, notes };
}

/** Videos whose frames do not follow each other at equal distances. */
function irregularClocks({ files }: DatasetVideos): ReadonlyMap<string, FrameClock> {
  return new Map([...files].flatMap(([file, { summary: { clock } }]) => (clock === null || clock.step !== null ? [] : [[file, clock] as const])));
}

function driftWarning({ fromGrid, step }: TimestampDrift, fps: number, notes: ReadonlyMap<Pairing, readonly number[]>): string[] {
  if (fromGrid <= 1e-3) return [];
  const frames = (fromGrid * fps).toFixed(1);
  const byTime = notes.get('timestamp') ?? [];
  const how = byTime.length === 0 ? 'by their position' : `by timestamp in the episodes ${formatEpisodeList(byTime)}, by position in the others`;
  return [
    `Timestamps stray from ${fps} fps: by up to ${(step * 1000).toFixed(0)} ms a step and ${fromGrid.toFixed(3)} s ` +
      `(${frames} frames) within an episode; frames are taken ${how}.`,
  ];
}

