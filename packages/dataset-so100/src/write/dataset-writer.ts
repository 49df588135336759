import { InvalidArgumentError, type CameraInfo, type RgbImage } from '@zk0/core';
import { MAX_IMAGE_SIDE, MAX_TASK_LENGTH, MAX_VECTOR_SIZE } from '../limits.ts';
import { CameraRecorder } from './camera-recorder.ts';
import { DatasetTables } from './dataset-tables.ts';
import { DatasetWriteError } from './errors.ts';
import { DEFAULT_FILE_LIMITS, type DatasetShape, type FileLimits } from './layout.ts';
import { stageDirectory, type StagedDirectory } from './staging.ts';
import type { VideoCodec } from './video-file.ts';

const MAX_FPS = 1000;
/** Float32 timestamps of an episode stay exact to 1e-4 s only up to about 1000 s at 1000 fps. */
const MAX_EPISODE_FRAMES = 1_000_000;

export interface DatasetWriterOptions extends DatasetShape {
  /** Default `h264`. */
  readonly codec?: VideoCodec;
  /** A new data or video file is begun after the episode with which one grows beyond this. Default as LeRobot's. */
  readonly fileLimits?: FileLimits;
}

/** One frame to record. */
export interface EpisodeFrame {
  /** `stateNames.length` values. */
  readonly state: ArrayLike<number>;
  /** `actionNames.length` values: what was commanded at this frame. */
  readonly action: ArrayLike<number>;
  /** One image per camera key, of the size declared. */
  readonly images: Readonly<Record<string, RgbImage>>;
}

/** An episode to record; frames are taken one at a time and never held together. */
export interface EpisodeInput {
  readonly task: string;
  readonly frames: Iterable<EpisodeFrame> | AsyncIterable<EpisodeFrame>;
}

export interface WrittenDataset {
  readonly path: string;
  readonly episodes: number;
  readonly frames: number;
  readonly tasks: readonly string[];
}

/** Records episodes into a new LeRobot v3.0 dataset. */
export interface DatasetWriter {
  /** Episodes recorded so far. */
  readonly episodeCount: number;
  /**
   * Records one episode; resolves to its number of frames. Frame `n` gets the timestamp `n / fps`.
   * A failure (a bad frame, an error of the iterable, a full disk) discards the whole dataset.
   *
   * @throws DatasetWriteError `DATASET_EPISODE_INVALID`, `DATASET_ENCODING`, `DATASET_WRITER_STATE`.
   */
  addEpisode(episode: EpisodeInput): Promise<number>;
  /** Completes the dataset and gives it its name. */
  finish(): Promise<WrittenDataset>;
  /** Removes everything written; does nothing after `finish`. */
  abort(): Promise<void>;
}

/** `open` → `recording` (inside `addEpisode`) → `open` … → `finished`; from anywhere → `discarded`. */
type WriterState = 'open' | 'recording' | 'finished' | 'discarded';

/**
 * Starts a new dataset at `dir`, in LeRobot's v3.0 layout (`lerobot/datasets/lerobot_dataset.py`). Nothing appears at
 * `dir` before `finish()`; until then everything is in a hidden folder beside it.
 *
 * @throws InvalidArgumentError for shapes that no dataset can have.
 * @throws DatasetWriteError `DATASET_EXISTS`.
 * @throws StorageError when the folder cannot be written to.
 */
export async function createDatasetWriter(dir: string, options: DatasetWriterOptions): Promise<DatasetWriter> {
  checkShape(options);
  return new StagedDatasetWriter(dir, await stageDirectory(dir), options);
}

class StagedDatasetWriter implements DatasetWriter {
  readonly #dir: string;
  readonly #staging: StagedDirectory;
  readonly #shape: DatasetShape;
  readonly #codec: VideoCodec;
  readonly #tables: DatasetTables;
  readonly #recorders: ReadonlyMap<string, CameraRecorder>;
  #state: WriterState = 'open';

  constructor(dir: string, staging: StagedDirectory, options: DatasetWriterOptions) {
    const { fps, cameras, codec = 'h264', fileLimits = DEFAULT_FILE_LIMITS } = options;
    this.#dir = dir;
    this.#staging = staging;
    this.#shape = options;
    this.#codec = codec;
    this.#tables = new DatasetTables(staging.path, options, fileLimits);
    this.#recorders = new Map(
      cameras.map((camera) => [
        camera.key,
        new CameraRecorder(staging.path, camera, { fps, codec, maxMegabytes: fileLimits.videoMegabytes }),
      ]),
    );
  }

  get episodeCount(): number {
    return this.#tables.episodeCount;
  }

  async addEpisode({ task, frames }: EpisodeInput): Promise<number> {
    this.#enter('recording');
    return this.#discardOnFailure(async () => {
      const where = `Episode ${this.episodeCount}`;
      if (task.trim() === '' || task.length > MAX_TASK_LENGTH) {
        throw invalid(`${where}: the task text has ${task.length} characters, allowed are 1 … ${MAX_TASK_LENGTH}`);
      }
      const state: number[] = [];
      const action: number[] = [];
      let length = 0;
      for await (const frame of frames) {
        if (length === MAX_EPISODE_FRAMES) throw invalid(`${where} has more than ${MAX_EPISODE_FRAMES} frames`);
        this.#checkFrame(frame, `${where}, frame ${length}`);
        state.push(...Array.from(frame.state));
        action.push(...Array.from(frame.action));
        for (const [camera, recorder] of this.#recorders) await recorder.write(frame.images[camera]!);
        length++;
      }
      if (length === 0) throw invalid(`${where} has no frames`);
      const { fps } = this.#shape;
      const timestamps = Float32Array.from({ length }, (_, frame) => frame / fps);
      const videos = new Map<string, Awaited<ReturnType<CameraRecorder['endEpisode']>>>();
      for (const [camera, recorder] of this.#recorders) videos.set(camera, await recorder.endEpisode());
      const rows = { state: Float32Array.from(state), action: Float32Array.from(action), timestamps, tasks: task };
      await this.#tables.append(rows, videos);
      this.#state = 'open';
      return length;
    });
  }

  async finish(): Promise<WrittenDataset> {
    this.#enter('recording');
    return this.#discardOnFailure(async () => {
      if (this.episodeCount === 0) throw invalid('The dataset has no episodes');
      for (const recorder of this.#recorders.values()) recorder.finish();
      const coding = { codec: this.#codec, pixelFormat: 'yuv420p' };
      await this.#tables.finish(new Map([...this.#recorders.keys()].map((camera) => [camera, coding])));
      await this.#staging.commit();
      this.#state = 'finished';
      const { episodeCount, frameCount, tasks } = this.#tables;
      return { path: this.#dir, episodes: episodeCount, frames: frameCount, tasks };
    });
  }

  async abort(): Promise<void> {
    if (this.#state === 'finished' || this.#state === 'discarded') return;
    this.#state = 'discarded';
    for (const recorder of this.#recorders.values()) recorder.abort();
    await this.#staging.discard();
  }

  #enter(next: WriterState): void {
    if (this.#state !== 'open') {
      throw new DatasetWriteError('DATASET_WRITER_STATE', `The writer of ${this.#dir} is ${this.#state}`, {
        hint: 'Await each call before the next one; create a new writer after finish, abort or a failure.',
      });
    }
    this.#state = next;
  }

  async #discardOnFailure<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  #checkFrame({ state, action, images }: EpisodeFrame, where: string): void {
    checkVector(state, this.#shape.stateNames, `${where}: observation.state`);
    checkVector(action, this.#shape.actionNames, `${where}: action`);
    for (const { key, width, height } of this.#shape.cameras) {
      const image = images[key];
      if (image === undefined)
        throw invalid(`${where}: no image of ${key}; there are: ${Object.keys(images).join(', ')}`);
      if (image.width !== width || image.height !== height || image.data.length !== width * height * 3) {
        throw invalid(
          `${where}: ${key} is ${image.width} × ${image.height} (${image.data.length} bytes), ` +
            `declared were ${width} × ${height} (${width * height * 3} bytes RGB)`,
        );
      }
    }
  }
}

function checkVector(values: ArrayLike<number>, names: readonly string[], what: string): void {
  if (values.length !== names.length) throw invalid(`${what} has ${values.length} values for ${names.length} names`);
  for (let index = 0; index < values.length; index++) {
    if (!Number.isFinite(Math.fround(values[index]!))) {
      throw invalid(`${what}: ${names[index]!} is ${values[index]!}, which float32 cannot hold`);
    }
  }
}

function invalid(message: string): DatasetWriteError {
  return new DatasetWriteError('DATASET_EPISODE_INVALID', message);
}

function checkShape({ fps, cameras, stateNames, actionNames }: DatasetShape): void {
  if (!Number.isInteger(fps) || fps < 1 || fps > MAX_FPS) {
    throw new InvalidArgumentError(`fps is ${fps}; it must be a whole number from 1 to ${MAX_FPS}`);
  }
  for (const [what, names] of Object.entries({ stateNames, actionNames })) {
    if (names.length < 1 || names.length > MAX_VECTOR_SIZE) {
      throw new InvalidArgumentError(`${what} has ${names.length} entries, allowed are 1 … ${MAX_VECTOR_SIZE}`);
    }
  }
  const keys = cameras.map(({ key }) => key);
  if (new Set(keys).size !== keys.length) throw new InvalidArgumentError(`Camera keys repeat: ${keys.join(', ')}`);
  for (const camera of cameras) checkCamera(camera);
}

function checkCamera({ key, width, height }: CameraInfo): void {
  // The key becomes a folder's name, and LeRobot finds cameras by this prefix.
  if (!/^observation\.images\.[\w.-]+$/.test(key)) {
    throw new InvalidArgumentError(`Camera key ${JSON.stringify(key)} is not observation.images.<name>`);
  }
  for (const [side, pixels] of Object.entries({ width, height })) {
    if (!Number.isInteger(pixels) || pixels < 16 || pixels > MAX_IMAGE_SIDE || pixels % 2 !== 0) {
      throw new InvalidArgumentError(
        `${key}: ${side} is ${pixels}; video needs an even number from 16 to ${MAX_IMAGE_SIDE}`,
      );
    }
  }
}
