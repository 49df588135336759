import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { mergeStatistics, STATISTIC_NAMES, vectorStatistics, type FeatureStatistics } from './episode-stats.ts';
import {
  datasetInfo,
  DEFAULT_FILE_LIMITS,
  episodeColumns,
  FIRST_FILE,
  huggingfaceMetadata,
  isCamera,
  isIntegerStatistic,
  nextFile,
  PATHS,
  rowColumns,
  statisticFeatures,
  TASK_COLUMNS,
  TASKS_PANDAS_METADATA,
  type FileLimits,
  type FilePosition,
  type StoredShape,
  type VideoCoding,
} from './layout.ts';
import { ParquetFile, type ParquetValue, type StoredPicture } from './parquet-file.ts';

/** The rows of one episode, without the columns that follow from its place in the dataset. */
export interface EpisodeRows {
  /** `length × stateNames.length` values. */
  readonly state: Float32Array;
  /** `length × actionNames.length` values. */
  readonly action: Float32Array;
  /** Seconds from the episode's first frame, one per frame. */
  readonly timestamps: Float32Array;
  /** Task text of each frame, or one for all. */
  readonly tasks: readonly string[] | string;
}

/** Where a camera's frames of one episode lie. */
export interface EpisodeVideo {
  readonly position: FilePosition;
  /** Seconds in that file. */
  readonly fromTimestamp: number;
  readonly toTimestamp: number;
  readonly statistics: FeatureStatistics;
}

/** A camera's pictures of one episode, which go into its rows. */
export interface EpisodePictures {
  /** Bytes of each picture. */
  readonly byteLengths: Float64Array;
  /** A picture as it goes into its row; asked for once, in order. */
  readonly read: (frame: number) => Promise<StoredPicture>;
  readonly statistics: FeatureStatistics;
}

/** A row group ends with the row with which its pictures grow beyond this: writers and readers hold it in memory whole. */
const ROW_GROUP_PICTURE_BYTES = 32 * 2 ** 20;

const NO_PICTURES: ReadonlyMap<string, EpisodePictures> = new Map();

interface EpisodeRecord {
  readonly tasks: readonly string[];
  readonly length: number;
  readonly from: number;
  readonly position: FilePosition;
  readonly videos: ReadonlyMap<string, EpisodeVideo>;
  readonly statistics: ReadonlyMap<string, FeatureStatistics>;
}

/** Everything of a v3.0 dataset but the videos: `data/` is written episode by episode, `meta/` at the end. */
export class DatasetTables {
  readonly #root: string;
  readonly #shape: StoredShape;
  readonly #limits: FileLimits;
  readonly #episodes: EpisodeRecord[] = [];
  readonly #taskIndices = new Map<string, number>();
  #frames = 0;
  #position = FIRST_FILE;
  #file: ParquetFile | undefined;

  constructor(root: string, shape: StoredShape, limits: FileLimits = DEFAULT_FILE_LIMITS) {
    this.#root = root;
    this.#shape = shape;
    this.#limits = limits;
  }

  get episodeCount(): number {
    return this.#episodes.length;
  }

  get frameCount(): number {
    return this.#frames;
  }

  get tasks(): readonly string[] {
    return [...this.#taskIndices.keys()];
  }

  /**
   * Appends one episode's rows, as one row group where they hold no pictures, and remembers its metadata.
   *
   * @param videos by camera
   * @param pictures by camera
   */
  async append(
    rows: EpisodeRows,
    videos: ReadonlyMap<string, EpisodeVideo>,
    pictures: ReadonlyMap<string, EpisodePictures> = NO_PICTURES,
  ): Promise<void> {
    const { state, action, timestamps } = rows;
    const length = timestamps.length;
    const episode = this.#episodes.length;
    const from = this.#frames;
    const taskTexts = typeof rows.tasks === 'string' ? new Array<string>(length).fill(rows.tasks) : rows.tasks;
    const taskIndices = taskTexts.map((task) => this.#taskIndex(task));
    const frameIndices = Array.from({ length }, (_, frame) => frame);
    const indices = frameIndices.map((frame) => from + frame);

    const inRows = (this.#shape.pictures ?? []).map(({ key }) => pictures.get(key)!);
    const rowBytes = Float64Array.from({ length }, (_, frame) => inRows.reduce((sum, { byteLengths }) => sum + byteLengths[frame]!, 0));
    const file = await this.#openFile(rowBytes.reduce((sum, bytes) => sum + bytes, 0));
    const columns = [
      splitRows(action, length),
      splitRows(state, length),
      [...timestamps],
      frameIndices.map(BigInt),
      new Array<bigint>(length).fill(BigInt(episode)),
      indices.map(BigInt),
      taskIndices.map(BigInt),
    ];
    for (const [start, end] of rowGroups(rowBytes)) {
      const group: ParquetValue[][] = columns.map((column) => column.slice(start, end));
      const stored: ParquetValue[][] = [];
      for (const { read } of inRows) {
        const column: StoredPicture[] = [];
        for (let frame = start; frame < end; frame++) column.push(await read(frame));
        stored.push(column);
      }
      group.splice(2, 0, ...stored);
      await file.append(group);
    }

    const statistics = new Map([
      ['action', vectorStatistics(action, this.#shape.actionNames.length)],
      ['observation.state', vectorStatistics(state, this.#shape.stateNames.length)],
      ...[...videos, ...pictures].map(([camera, { statistics: ofCamera }]) => [camera, ofCamera] as const),
      ['timestamp', vectorStatistics(timestamps, 1)],
      ['frame_index', vectorStatistics(frameIndices, 1)],
      ['episode_index', vectorStatistics(new Array<number>(length).fill(episode), 1)],
      ['index', vectorStatistics(indices, 1)],
      ['task_index', vectorStatistics(taskIndices, 1)],
    ]);
    const tasks = [...new Set(taskTexts)];
    this.#episodes.push({ tasks, length, from, position: this.#position, videos, statistics });
    this.#frames += length;
    if (file.byteLength >= this.#limits.dataMegabytes * 2 ** 20) await this.#closeFile();
  }

  /** Completes the last data file and writes everything under `meta/`. `codings` are by camera key. */
  async finish(codings: ReadonlyMap<string, VideoCoding>): Promise<void> {
    await this.#closeFile();
    await this.#writeTasks();
    await this.#writeEpisodes();
    const totals = { episodes: this.#episodes.length, frames: this.#frames, tasks: this.#taskIndices.size };
    await this.#writeJson(PATHS.info, datasetInfo(this.#shape, codings, totals, this.#limits));
    await this.#writeJson(PATHS.stats, this.#mergedStatistics());
  }

  #taskIndex(task: string): number {
    const known = this.#taskIndices.get(task);
    if (known !== undefined) return known;
    const index = this.#taskIndices.size;
    this.#taskIndices.set(task, index);
    return index;
  }

  /** The file that so many more bytes of pictures go into: a new one where the last would grow beyond the limit with them. */
  async #openFile(pictureBytes: number): Promise<ParquetFile> {
    if (this.#file !== undefined) {
      if (this.#file.byteLength + pictureBytes < this.#limits.dataMegabytes * 2 ** 20) return this.#file;
      await this.#closeFile();
    }
    const path = await this.#prepare(PATHS.data(this.#position));
    this.#file = new ParquetFile(path, rowColumns(this.#shape), { huggingface: huggingfaceMetadata(this.#shape) });
    return this.#file;
  }

  async #closeFile(): Promise<void> {
    if (this.#file === undefined) return;
    await this.#file.close();
    this.#file = undefined;
    this.#position = nextFile(this.#position);
  }

  async #writeTasks(): Promise<void> {
    const path = await this.#prepare(PATHS.tasks);
    const file = new ParquetFile(path, TASK_COLUMNS, { pandas: TASKS_PANDAS_METADATA });
    const entries = [...this.#taskIndices];
    await file.append([entries.map(([, index]) => BigInt(index)), entries.map(([task]) => task)]);
    await file.close();
  }

  async #writeEpisodes(): Promise<void> {
    const columns = episodeColumns(this.#shape);
    const rows = this.#episodes.map((episode, index) => this.#episodeRow(episode, index));
    const file = new ParquetFile(await this.#prepare(PATHS.episodes), columns);
    await file.append(columns.map(({ name }) => rows.map((row) => row.get(name)!)));
    await file.close();
  }

  #episodeRow(episode: EpisodeRecord, index: number): Map<string, ParquetValue> {
    const row = new Map<string, ParquetValue>([
      ['episode_index', BigInt(index)],
      ['tasks', episode.tasks],
      ['length', BigInt(episode.length)],
      ['data/chunk_index', BigInt(episode.position.chunk)],
      ['data/file_index', BigInt(episode.position.file)],
      ['dataset_from_index', BigInt(episode.from)],
      ['dataset_to_index', BigInt(episode.from + episode.length)],
      ['meta/episodes/chunk_index', 0n],
      ['meta/episodes/file_index', 0n],
    ]);
    for (const [camera, video] of episode.videos) {
      row.set(`videos/${camera}/chunk_index`, BigInt(video.position.chunk));
      row.set(`videos/${camera}/file_index`, BigInt(video.position.file));
      row.set(`videos/${camera}/from_timestamp`, video.fromTimestamp);
      row.set(`videos/${camera}/to_timestamp`, video.toTimestamp);
    }
    for (const [feature, statistics] of episode.statistics) {
      for (const [name, values] of Object.entries(this.#shaped(feature, statistics))) {
        row.set(`stats/${feature}/${name}`, isIntegerStatistic(feature, name) ? values.map(toBigInt) : values);
      }
    }
    return row;
  }

  #mergedStatistics(): object {
    const merged = statisticFeatures(this.#shape).map((feature) => {
      const parts = this.#episodes.map((episode) => episode.statistics.get(feature)!);
      return [feature, this.#shaped(feature, mergeStatistics(parts))] as const;
    });
    return Object.fromEntries(merged);
  }

  /** Statistics in LeRobot's shapes: `[n]` for vectors, `[3, 1, 1]` for images. */
  #shaped(feature: string, statistics: FeatureStatistics): Record<string, readonly ParquetValue[]> {
    const isImage = isCamera(this.#shape, feature);
    return Object.fromEntries(
      STATISTIC_NAMES.map((name) => {
        if (name === 'count') return [name, [statistics.count]];
        return [name, isImage ? statistics[name].map((value) => [[value]]) : statistics[name]];
      }),
    );
  }

  async #writeJson(path: string, value: object): Promise<void> {
    await writeFile(await this.#prepare(path), JSON.stringify(value, undefined, 4));
  }

  async #prepare(path: string): Promise<string> {
    const absolute = join(this.#root, path);
    await mkdir(dirname(absolute), { recursive: true });
    return absolute;
  }
}

/** First and one past the last row of each row group of an episode, by the bytes of each row's pictures. */
function rowGroups(rowBytes: Float64Array): [start: number, end: number][] {
  const groups: [number, number][] = [];
  let start = 0;
  let bytes = 0;
  for (let row = 0; row < rowBytes.length; row++) {
    bytes += rowBytes[row]!;
    if (bytes < ROW_GROUP_PICTURE_BYTES && row + 1 < rowBytes.length) continue;
    groups.push([start, row + 1]);
    start = row + 1;
    bytes = 0;
  }
  return groups;
}

function splitRows(values: Float32Array, rows: number): number[][] {
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, row) => [...values.subarray(row * width, (row + 1) * width)]);
}

function toBigInt(value: ParquetValue): bigint {
  return BigInt(value as number);
}
