import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { mergeStatistics, STATISTIC_NAMES, vectorStatistics, type FeatureStatistics } from './episode-stats.ts';
import {
  datasetInfo,
  DEFAULT_FILE_LIMITS,
  episodeColumns,
  FIRST_FILE,
  huggingfaceMetadata,
  isIntegerStatistic,
  nextFile,
  PATHS,
  ROW_COLUMNS,
  statisticFeatures,
  TASK_COLUMNS,
  TASKS_PANDAS_METADATA,
  type DatasetShape,
  type FileLimits,
  type FilePosition,
  type VideoCoding,
} from './layout.ts';
import { ParquetFile, type ParquetValue } from './parquet-file.ts';

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
  readonly #shape: DatasetShape;
  readonly #limits: FileLimits;
  readonly #episodes: EpisodeRecord[] = [];
  readonly #taskIndices = new Map<string, number>();
  #frames = 0;
  #position = FIRST_FILE;
  #file: ParquetFile | undefined;

  constructor(root: string, shape: DatasetShape, limits: FileLimits = DEFAULT_FILE_LIMITS) {
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

  /** Appends one episode's rows, as one row group, and remembers its metadata. */
  async append(rows: EpisodeRows, videos: ReadonlyMap<string, EpisodeVideo>): Promise<void> {
    const { state, action, timestamps } = rows;
    const length = timestamps.length;
    const episode = this.#episodes.length;
    const from = this.#frames;
    const taskTexts = typeof rows.tasks === 'string' ? new Array<string>(length).fill(rows.tasks) : rows.tasks;
    const taskIndices = taskTexts.map((task) => this.#taskIndex(task));
    const frameIndices = Array.from({ length }, (_, frame) => frame);
    const indices = frameIndices.map((frame) => from + frame);

    const file = await this.#openFile();
    await file.append([
      splitRows(action, length),
      splitRows(state, length),
      [...timestamps],
      frameIndices.map(BigInt),
      new Array<bigint>(length).fill(BigInt(episode)),
      indices.map(BigInt),
      taskIndices.map(BigInt),
    ]);

    const statistics = new Map([
      ['action', vectorStatistics(action, this.#shape.actionNames.length)],
      ['observation.state', vectorStatistics(state, this.#shape.stateNames.length)],
      ...[...videos].map(([camera, video]) => [camera, video.statistics] as const),
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

  async #openFile(): Promise<ParquetFile> {
    if (this.#file !== undefined) return this.#file;
    const path = await this.#prepare(PATHS.data(this.#position));
    this.#file = new ParquetFile(path, ROW_COLUMNS, { huggingface: huggingfaceMetadata(this.#shape) });
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
    const isImage = this.#shape.cameras.some(({ key }) => key === feature);
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

function splitRows(values: Float32Array, rows: number): number[][] {
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, row) => [...values.subarray(row * width, (row + 1) * width)]);
}

function toBigInt(value: ParquetValue): bigint {
  return BigInt(value as number);
}
