import type { CameraInfo } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { TableReader } from '../format/table-reader.ts';
import type { FrameTable } from '../read/frame-table.ts';
import type { Recording } from '../read/recording.ts';
import { taskText } from '../read/rows.ts';
import { assertFrameRate } from '../read/videos.ts';
import { contentHash, contentOf } from '../validate/episode-content.ts';
import { DEFAULT_SAMPLES, ImageSequence, sampledPositions } from '../validate/image-sequence.ts';
import type { VideoDecoder, VideoFrame } from '../video/decoder.ts';
import type { EpisodeRows } from '../write/dataset-tables.ts';
import type { FeatureStatistics } from '../write/episode-stats.ts';
import { countLevels, episodeImageStatistics } from '../write/image-levels.ts';
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
  /** The cameras of the dataset, with the size that their images really have. */
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
  readonly #tables: TableReader;
  readonly #sources: VideoSources;
  /** The data file read last: of v3.0, many episodes in a row are in one. */
  #table: { readonly file: string; readonly content: FrameTable } | null = null;
  /** Fixed by the first episode that can be read. */
  #cameras: readonly CameraInfo[] | null = null;

  constructor(parts: { recording: Recording; tables: TableReader; sources: VideoSources; fps: number }) {
    this.recording = parts.recording;
    this.fps = parts.fps;
    this.#tables = parts.tables;
    this.#sources = parts.sources;
  }

  /**
   * @param decoder null where there are no cameras
   * @param fallbackTask for an episode that has no task
   * @throws DatasetError where the episode cannot be mended
   */
  async read(episode: EpisodeRecord, decoder: VideoDecoder | null, fallbackTask?: string): Promise<ReadEpisode> {
    const { episodeIndex } = episode;
    const table = await this.#tableOf(episode);
    const plan = planRows(table, episode);
    const changes = [...plan.changes];
    const sources = new Map<string, VideoSource>();
    for (const { key } of this.recording.info.cameras) sources.set(key, await this.#sources.of(episode, key, this.fps));
    const length = Math.min(plan.rows.length, ...[...sources.values()].map(({ frames }) => frames));
    if (length === 0) throw new DatasetError('DATASET_VIDEO', `Episode ${episodeIndex} has no images`, { episode: episodeIndex });
    for (const { path, from, summary } of sources.values()) {
      assertFrameRate(path, summary, Math.round(from * this.fps) + length, this.fps);
    }
    const cut = plan.rows.length - length;
    if (cut > 0) changes.push(`the last ${cut} of ${plan.rows.length} rows left out: there are no images of them`);
    const rows = plan.rows.subarray(0, length);
    const cameras = this.#camerasOf(sources);
    const [black, frozen] = [[] as string[], [] as string[]];
    const videos: ReadVideo[] = [];
    for (const [key, source] of sources) {
      const images = new EpisodeImages(decoder!, source, this.fps);
      const seen = await images.look(length);
      if (seen.isBlack) black.push(key);
      else if (seen.isFrozen) frozen.push(key);
      const statistics = await episodeImageStatistics(length, async (frame) => countLevels(await images.at(frame)));
      videos.push({ key, source: source.path, fromTimestamp: source.from, statistics });
    }
    this.#cameras = cameras;
    const content = contentOf(table, rows);
    const tasks = this.#tasksOf(table, rows, episode, fallbackTask, changes);
    changes.push(...timestampChange(table, rows, this.fps), ...columnChange(table));
    const timestamps = Float32Array.from({ length }, (_, frame) => frame / this.fps);
    return {
      rows: { ...content, timestamps, tasks },
      videos,
      cameras,
      contentHash: contentHash(content),
      blackCameras: black,
      frozenCameras: frozen,
      changes,
    };
  }

  async #tableOf({ dataFile }: EpisodeRecord): Promise<FrameTable> {
    if (this.#table?.file === dataFile) return this.#table.content;
    const { folder, info } = this.recording;
    const content = await this.#tables.frames(await folder.resolve(dataFile), info.state, info.action);
    this.#table = { file: dataFile, content };
    return content;
  }

  #camerasOf(sources: ReadonlyMap<string, VideoSource>): readonly CameraInfo[] {
    const cameras = [...sources].map(([key, { summary }]) => ({ key, height: summary.height, width: summary.width }));
    const other = cameras.find((camera, i) => {
      const expected = this.#cameras?.[i];
      return expected !== undefined && (expected.height !== camera.height || expected.width !== camera.width);
    });
    if (other === undefined) return cameras;
    const { path } = sources.get(other.key)!;
    throw new DatasetError('DATASET_VIDEO', `${path} has images of ${other.height}×${other.width} pixels, other videos of ${other.key} do not`, {
      file: path,
    });
  }

  #tasksOf(table: FrameTable, rows: Int32Array, episode: EpisodeRecord, fallback: string | undefined, changes: string[]): string[] {
    const texts = Array.from(rows, (row) => taskText(this.recording, table, row, episode) ?? episode.tasks[0]);
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

/** The images of one camera in one episode. */
class EpisodeImages {
  readonly #decoder: VideoDecoder;
  readonly #source: VideoSource;
  readonly #fps: number;

  constructor(decoder: VideoDecoder, source: VideoSource, fps: number) {
    this.#decoder = decoder;
    this.#source = source;
    this.#fps = fps;
  }

  async at(frame: number): Promise<VideoFrame> {
    const { path, from, summary } = this.#source;
    const { height, width } = summary;
    const image = await this.#decoder.frame({ file: path, timestamp: from + frame / this.#fps, tolerance: 0.5 / this.#fps });
    if (image.height === height && image.width === width) return image;
    throw new DatasetError('DATASET_VIDEO', `${path} holds images of ${image.height}×${image.width} pixels and claims ${height}×${width}`, {
      file: path,
    });
  }

  async look(length: number): Promise<ImageSequence> {
    const seen = new ImageSequence();
    for (const position of sampledPositions(length, DEFAULT_SAMPLES)) seen.add(await this.at(position));
    return seen;
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
