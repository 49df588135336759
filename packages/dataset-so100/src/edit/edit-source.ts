import type { CameraInfo } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import { readEpisodeStats, storedStatsOf, type StoredFeatures } from '../format/stored-stats.ts';
import type { TableReader } from '../format/table-reader.ts';
import { chooseSound } from '../read/choose-sound.ts';
import { frameTime, pairEpisode, spansOf } from '../read/episode-pairing.ts';
import { findEpisodeRows } from '../read/episode-rows.ts';
import { EpisodeTables } from '../read/episode-tables.ts';
import { positionTime } from '../read/frame-pairing.ts';
import type { ImagePosition } from '../read/image-store.ts';
import { readRecording, type Recording } from '../read/recording.ts';
import { locateDataset, type DatasetSource, type SourceOptions } from '../read/source.ts';
import { taskOfRow, type RowTask } from '../read/task-of-row.ts';
import { checkVideos, type DatasetVideos } from '../read/videos.ts';
import { contentHash, contentOf } from '../validate/episode-content.ts';
import { createVideoDecoder, type VideoOptions } from '../video/choose-decoder.ts';
import type { VideoDecoder } from '../video/decoder.ts';
import { DatasetWriteError } from '../write/errors.ts';
import { sampledImageIndices, type FeatureStatistics } from '../write/episode-stats.ts';
import { countLevels, episodeImageStatistics } from '../write/image-levels.ts';
import { PictureCopies } from '../write/picture-copies.ts';
import { sourceFeatures, type SourceFeatures } from '../write/source-features.ts';

/** How a dataset is read that is to be edited. */
export interface EditSourceOptions extends SourceOptions {
  /** How frames are decoded, where image statistics have to be computed. */
  readonly video?: VideoOptions;
  /** Features that the copy may lack, because v3.0 as written here has no columns for them; default none. */
  readonly leaveOut?: readonly string[];
  /** Copies video files whole, also those that hold other episodes too. */
  readonly wholeVideos?: boolean;
}

/** An episode as it was recorded. */
export interface SourceEpisode {
  readonly record: EpisodeRecord;
  readonly state: Float32Array;
  readonly action: Float32Array;
  readonly timestamps: Float32Array;
  /** Of each row; undefined where it has none. */
  readonly tasks: readonly (string | undefined)[];
  /** By camera recorded as video: seconds into its file. */
  readonly spans: ReadonlyMap<string, { readonly begins: number; readonly ends: number }>;
  /** By camera that keeps pictures in rows. */
  readonly pictures: ReadonlyMap<string, readonly ImagePosition[]>;
  /** By camera. */
  readonly imageStatistics: ReadonlyMap<string, FeatureStatistics>;
  /** Of its states and actions. */
  readonly contentHash: string;
}

/**
 * A dataset to be edited, read episode by episode by the rules of `openDataset`: one data file is in memory at a time, and no video is
 * decoded where the dataset has sound statistics of its images.
 */
export class EditSource {
  readonly uri: string;
  readonly recording: Recording;
  /** Those that the address chooses. */
  readonly episodes: readonly EpisodeRecord[];
  readonly videos: DatasetVideos;
  readonly features: SourceFeatures;
  readonly copies: PictureCopies;
  readonly tables: EpisodeTables;
  /** What was unusual and how it was read. */
  readonly warnings: string[];
  readonly #lookup: DatasetSource['lookup'];
  readonly #video: VideoOptions | undefined;
  readonly #stats: ReadonlyMap<number, StoredFeatures> | null;
  #decoder: VideoDecoder | null = null;

  private constructor(uri: string, source: DatasetSource, parts: Pick<EditSource, 'recording' | 'episodes' | 'videos' | 'features' | 'tables'> & {
    readonly stats: ReadonlyMap<number, StoredFeatures> | null;
    readonly video: VideoOptions | undefined;
  }) {
    this.uri = uri;
    this.recording = parts.recording;
    this.episodes = parts.episodes;
    this.videos = parts.videos;
    this.features = parts.features;
    this.tables = parts.tables;
    this.copies = new PictureCopies(parts.recording.folder);
    this.warnings = [...source.warnings, ...parts.recording.info.warnings, ...parts.videos.warnings];
    this.#lookup = source.lookup;
    this.#video = parts.video;
    this.#stats = parts.stats;
  }

  /**
   * Reads a dataset's metadata and checks its videos.
   *
   * @throws DatasetError when anything is wrong with it
   * @throws DatasetWriteError `DATASET_NOT_CONVERTIBLE` where the copy would lack features that nobody said may be left out
   */
  static async open(uri: string, tables: TableReader, options: EditSourceOptions): Promise<EditSource> {
    const source = await locateDataset(uri, options);
    const recording = await readRecording(source.root, tables);
    const features = await sourceFeatures(source.root);
    const lost = features.leftOut.filter((feature) => options.leaveOut?.includes(feature) !== true);
    if (lost.length > 0) {
      throw new DatasetWriteError('DATASET_NOT_CONVERTIBLE', `${uri} has features that v3.0 as written here has no columns for: ${lost.join(', ')}`, {
        hint: `Where the copy may lack them, say so: --leave-out ${lost.join(',')}.`,
      });
    }
    const episodes = await chooseSound(recording, source, tables);
    await source.fetch(episodes, recording.info);
    const cameras = recording.info.cameras.map(({ key }) => key);
    return new EditSource(uri, source, {
      recording,
      episodes,
      features,
      videos: await checkVideos(recording, episodes, options.signal),
      tables: new EpisodeTables(recording, tables, source.fetchData),
      // A damaged table of statistics keeps nobody from computing them.
      stats: await readEpisodeStats(recording, cameras, tables).catch((error: unknown) => {
        if (error instanceof DatasetError) return null;
        throw error;
      }),
      video: options.video,
    });
  }

  /** Cameras recorded as video, with the size that their frames really have. */
  get videoCameras(): readonly CameraInfo[] {
    return this.#camerasOf('video');
  }

  /** Cameras whose pictures are kept in rows. */
  get pictureCameras(): readonly CameraInfo[] {
    return this.#camerasOf('image');
  }

  /** @throws DatasetError where the episode cannot be read */
  async read(record: EpisodeRecord): Promise<SourceEpisode> {
    const { info, tasks } = this.recording;
    const { table, note } = await this.tables.of(record);
    const { rows, warning } = findEpisodeRows(table, record);
    if (rows.length === 0) {
      throw new DatasetError('DATASET_ROWS', `${this.recording.folder.root}: episode ${record.episodeIndex} has no frames`, {
        episode: record.episodeIndex,
        hint: 'Leave it out with ?episodes=….',
      });
    }
    if (note !== null) this.#warn(note);
    if (warning !== null) this.#warn(warning);
    const timestamps = Float64Array.from(rows, (row, k) => table.timestamp?.[row] ?? k / info.fps);
    const spans = spansOf(this.recording, record, (file) => this.videos.files.get(file)?.summary);
    const pairing = this.#lookup === 'evidence' ? pairEpisode(this.recording, record, timestamps, spans).pairing : this.#lookup;
    const last = rows.length - 1;
    const pictures = new Map(
      this.pictureCameras.map(({ key }) => [
        key,
        Array.from(rows, (row, frameIndex) => ({ file: table.path, row, camera: key, episodeIndex: record.episodeIndex, frameIndex })),
      ]),
    );
    const content = contentOf(table, rows);
    const imageStatistics = new Map<string, FeatureStatistics>();
    for (const camera of [...this.videoCameras, ...this.pictureCameras]) {
      const span = spans.get(camera.key);
      const positions = pictures.get(camera.key);
      const stored = warning === null ? this.#storedStatistics(record, camera.key, rows.length) : null;
      imageStatistics.set(
        camera.key,
        stored ??
          (await episodeImageStatistics(rows.length, async (frame) => {
            if (positions !== undefined) return countLevels(await this.copies.store.picture(positions[frame]!, camera));
            const file = this.videos.files.get(record.videos.get(camera.key)!.file)!.path;
            const decoder = (this.#decoder ??= await createVideoDecoder(this.#video, this.#codecs()));
            const timestamp = frameTime(span!, pairing, frame, timestamps[frame]!, info.fps);
            return countLevels(await decoder.frame({ file, timestamp, tolerance: 0.5 / info.fps }));
          })),
      );
    }
    return {
      record,
      ...content,
      timestamps: Float32Array.from(timestamps),
      tasks: Array.from(rows, (row) => this.#taskOf(taskOfRow(tasks, table.taskIndex?.[row], record), record)),
      spans: new Map(
        [...record.videos].map(([key, { fromTimestamp, toTimestamp }]) => {
          const lasts = (pairing === 'timestamp' ? timestamps[last]! : positionTime(spans.get(key)!, last, info.fps)) + 1 / info.fps;
          return [key, { begins: fromTimestamp, ends: toTimestamp ?? fromTimestamp + lasts }];
        }),
      ),
      pictures,
      imageStatistics,
      contentHash: contentHash(content),
    };
  }

  async close(): Promise<void> {
    await this.#decoder?.close();
    await this.copies.close();
  }

  #taskOf({ text, problem }: RowTask, { episodeIndex }: EpisodeRecord): string | undefined {
    if (problem !== null) this.#warn(`Episode ${episodeIndex}: ${problem}.`);
    return text;
  }

  #warn(warning: string): void {
    if (this.warnings.at(-1) !== warning) this.warnings.push(warning);
  }

  #camerasOf(kind: 'video' | 'image'): readonly CameraInfo[] {
    const keys = new Set(this.recording.info.cameras.filter((camera) => camera.kind === kind).map(({ key }) => key));
    return this.videos.cameras.filter(({ key }) => keys.has(key));
  }

  #codecs(): string[] {
    return [...new Set([...this.videos.files.values()].map(({ summary }) => summary.codec))];
  }

  /** What the dataset says of a camera's images in an episode, where it says all of it and it can be true. */
  #storedStatistics({ episodeIndex }: EpisodeRecord, camera: string, length: number): FeatureStatistics | null {
    const features = this.#stats?.get(episodeIndex);
    const stored = features === undefined ? null : storedStatsOf(features, camera);
    if (stored === null) return null;
    const { min, max, mean, std, quantiles } = stored;
    const { q01, q10, q50, q90, q99 } = quantiles;
    const all = { min, max, mean, std, q01, q10, q50, q90, q99 };
    const isSound = Object.values(all).every((values) => values?.length === 3 && values.every((value) => value !== null && value >= 0 && value <= 1));
    if (!isSound || [0, 1, 2].some((channel) => min[channel]! > mean[channel]! || mean[channel]! > max[channel]!)) return null;
    return { ...(all as Record<keyof typeof all, number[]>), count: sampledImageIndices(length).length };
  }
}
