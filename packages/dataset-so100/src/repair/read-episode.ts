import type { CameraInfo } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { CameraFeature } from '../format/info.ts';
import { spansOf } from '../read/episode-pairing.ts';
import type { EpisodeTables } from '../read/episode-tables.ts';
import type { FrameTable } from '../read/frame-table.ts';
import type { ImagePosition } from '../read/image-store.ts';
import type { Recording } from '../read/recording.ts';
import { taskOfRow } from '../read/task-of-row.ts';
import { assertFrameRate } from '../read/videos.ts';
import { contentHash, contentOf } from '../validate/episode-content.ts';
import type { VideoDecoder } from '../video/decoder.ts';
import type { EpisodePictures, EpisodeRows } from '../write/dataset-tables.ts';
import type { FeatureStatistics } from '../write/episode-stats.ts';
import { countLevels, episodeImageStatistics } from '../write/image-levels.ts';
import type { PictureCopies } from '../write/picture-copies.ts';
import { lookAt, pictureImages, videoImages, type EpisodeImages } from './episode-images.ts';
import { pairRepaired, type EpisodePairing } from './pair-repaired.ts';
import { planRows } from './plan-rows.ts';
import type { VideoSource, VideoSources } from './video-sources.ts';

/** One camera of a {@link ReadEpisode}. */
export interface ReadVideo {
  readonly key: string;
  /** Path of the video file. */
  readonly source: string;
  /** Seconds into it. */
  readonly fromTimestamp: number;
  readonly statistics: FeatureStatistics;
}

/** An episode as a repaired copy has it. */
export interface ReadEpisode {
  readonly rows: EpisodeRows;
  readonly videos: readonly ReadVideo[];
  /** By camera whose pictures are kept in rows. */
  readonly pictures: ReadonlyMap<string, EpisodePictures>;
  /** The cameras of the dataset, with the size that their images really have: those of `videos`, then those of `pictures`. */
  readonly cameras: readonly CameraInfo[];
  /** Of its states and actions. */
  readonly contentHash: string;
  readonly blackCameras: readonly string[];
  readonly frozenCameras: readonly string[];
  /** What differs from the original, for people. */
  readonly changes: readonly string[];
}

/** Timestamps this close to the frame rate's grid are left unmentioned, in seconds. */
const GRID_TOLERANCE = 1e-4;

/** Reads episodes one by one, mending what can be mended. */
export class EpisodeReader {
  readonly recording: Recording;
  /** The frame rate that the videos have. */
  readonly fps: number;
  readonly #tables: EpisodeTables;
  readonly #sources: VideoSources;
  readonly #copies: PictureCopies;
  /** Fixed by the first episode that can be read. */
  #cameras: readonly CameraInfo[] | null = null;

  constructor(parts: { recording: Recording; tables: EpisodeTables; sources: VideoSources; copies: PictureCopies; fps: number }) {
    this.recording = parts.recording;
    this.fps = parts.fps;
    this.#tables = parts.tables;
    this.#sources = parts.sources;
    this.#copies = parts.copies;
  }

  /**
   * @param decoder null where there are no cameras recorded as video
   * @param fallbackTask for an episode that has no task
   * @throws DatasetError where the episode cannot be mended
   */
  async read(episode: EpisodeRecord, decoder: VideoDecoder | null, fallbackTask?: string): Promise<ReadEpisode> {
    const { episodeIndex } = episode;
    const { table, note } = await this.#tables.of(episode);
    const plan = planRows(table, episode);
    const changes = [...(note === null ? [] : ['rows taken from where they are, and metadata that says so']), ...plan.changes];
    const sources = new Map<string, VideoSource>();
    for (const key of episode.videos.keys()) sources.set(key, await this.#sources.of(episode, key, this.fps));
    const positions = this.#picturePositions(table.path, plan.rows, episodeIndex);
    const pairing = this.#pair(episode, table, plan.rows, sources);
    const images = [...sources].map(([key, source]) => videoImages(key, source, decoder!, this.fps, pairing.timeOf(key)));
    for (const [camera, where] of positions) images.push(await this.#picturesOf(camera, where));
    const length = Math.min(plan.rows.length, ...images.map(({ frames }) => frames));
    if (length === 0) throw new DatasetError('DATASET_VIDEO', `Episode ${episodeIndex} has no images`, { episode: episodeIndex });
    for (const { path, from, summary } of sources.values()) {
      assertFrameRate(path, summary, Math.round(from * this.fps) + length, this.fps);
    }
    const cut = plan.rows.length - length;
    if (cut > 0) changes.push(`the last ${cut} of ${plan.rows.length} rows left out: there are no images of them`);
    const rows = plan.rows.subarray(0, length);
    const cameras = this.#camerasOf(images);
    const [black, frozen] = [[] as string[], [] as string[]];
    const statistics = new Map<string, FeatureStatistics>();
    for (const one of images) {
      const { key } = one.camera;
      const seen = await lookAt(one, length);
      if (seen.isBlack) black.push(key);
      else if (seen.isFrozen) frozen.push(key);
      statistics.set(key, await episodeImageStatistics(length, async (frame) => countLevels(await one.at(frame))));
    }
    const videos = [...sources].map(([key, { path }]) => ({ key, source: path, fromTimestamp: pairing.from(key), statistics: statistics.get(key)! }));
    const pictures = new Map<string, EpisodePictures>();
    for (const [{ key }, where] of positions) {
      pictures.set(key, { ...(await this.#copies.of(where.slice(0, length))), statistics: statistics.get(key)! });
    }
    this.#cameras = cameras;
    const content = contentOf(table, rows);
    const tasks = this.#tasksOf(table, rows, episode, fallbackTask, changes);
    changes.push(...pairing.changes, ...(pairing.recorded === null ? timestampChange(table, rows, this.fps) : []), ...columnChange(table));
    const timestamps = pairing.recorded?.slice(0, length) ?? Float32Array.from({ length }, (_, frame) => frame / this.fps);
    return {
      rows: { ...content, timestamps, tasks },
      videos,
      pictures,
      cameras,
      contentHash: contentHash(content),
      blackCameras: black,
      frozenCameras: frozen,
      changes,
    };
  }

  /** @throws DatasetError `DATASET_VIDEO` where it cannot be told which frame belongs to which row */
  #pair(episode: EpisodeRecord, table: FrameTable, rows: Int32Array, sources: ReadonlyMap<string, VideoSource>): EpisodePairing {
    const summaries = new Map([...sources.values()].map(({ file, summary }) => [file, summary]));
    const spans = spansOf(this.recording, episode, (file) => summaries.get(file), this.fps);
    return pairRepaired(this.recording, episode, Float64Array.from(rows, (row, k) => table.timestamp?.[row] ?? k / this.fps), spans, this.fps);
  }

  /** Where the pictures of each camera that keeps them in rows are. */
  #picturePositions(file: string, rows: Int32Array, episodeIndex: number): Map<CameraFeature, readonly ImagePosition[]> {
    const inRows = this.recording.info.cameras.filter(({ kind }) => kind === 'image');
    return new Map(
      inRows.map((camera) => {
        return [camera, Array.from(rows, (row, frameIndex) => ({ file, row, camera: camera.key, episodeIndex, frameIndex }))];
      }),
    );
  }

  async #picturesOf(camera: CameraFeature, positions: readonly ImagePosition[]): Promise<EpisodeImages> {
    await this.#copies.begin(positions[0]!.file);
    return await pictureImages(this.#copies.store, positions, camera, this.#cameras?.find(({ key }) => key === camera.key) ?? null);
  }

  #camerasOf(images: readonly EpisodeImages[]): readonly CameraInfo[] {
    const other = images.find(({ camera }, i) => {
      const expected = this.#cameras?.[i];
      return expected !== undefined && (expected.height !== camera.height || expected.width !== camera.width);
    });
    if (other === undefined) return images.map(({ camera }) => camera);
    const { file, camera } = other;
    throw new DatasetError('DATASET_VIDEO', `${file} has images of ${camera.height}×${camera.width} pixels, other videos of ${camera.key} do not`, {
      file,
    });
  }

  #tasksOf(table: FrameTable, rows: Int32Array, episode: EpisodeRecord, fallback: string | undefined, changes: string[]): string[] {
    const found = Array.from(rows, (row) => taskOfRow(this.recording.tasks, table.taskIndex?.[row], episode));
    // Recorders differ in blanks around a text, which make two tasks of one.
    const texts = found.map(({ text }) => text?.trim());
    if (found.some(({ text, problem }) => problem !== null && text !== undefined)) changes.push('tasks corrected where the episode leaves one answer');
    if (found.some(({ text }, i) => text !== texts[i])) changes.push('blanks around tasks left out');
    const without = texts.indexOf(undefined);
    if (without === -1) return texts as string[];
    if (fallback === undefined) {
      throw new DatasetError('DATASET_METADATA', `Episode ${episode.episodeIndex} has no task`, {
        file: table.path,
        row: rows[without]!,
        episode: episode.episodeIndex,
        hint: 'Say what was done: --task "…".',
      });
    }
    changes.push(`task added: ${fallback}`);
    return texts.map((text) => text ?? fallback);
  }
}

function timestampChange({ timestamp }: FrameTable, rows: Int32Array, fps: number): string[] {
  if (timestamp === null) return [];
  const stray = rows.reduce((most, row, k) => Math.max(most, Math.abs(timestamp[row]! - k / fps)), 0);
  return stray <= GRID_TOLERANCE ? [] : [`timestamps put on the grid of ${fps} fps`];
}

function columnChange({ timestamp, frameIndex, episodeIndex, taskIndex }: FrameTable): string[] {
  const columns = { timestamp, frame_index: frameIndex, episode_index: episodeIndex, task_index: taskIndex };
  const added = Object.entries(columns).flatMap(([name, column]) => (column === null ? [name] : []));
  return added.length === 0 ? [] : [`columns added: ${added.join(', ')}`];
}
