import type { ActionChunk, CameraInfo, RgbImage, RobotDataset, RobotDatasetInfo } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { FormatVersion } from '../format/info.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { VideoDecoder } from '../video/decoder.ts';
import type { FrameClock } from '../video/frame-clock.ts';
import { positionTime, type Pairing } from './frame-pairing.ts';
import type { ImagePosition, ImageStore } from './image-store.ts';
import type { DatasetRows } from './rows.ts';
import type { TimestampDrift } from './timestamp-drift.ts';

/** How a row's frame is found in its video: `evidence` decides for each episode. */
export type FrameLookup = 'evidence' | Pairing;

/** What a {@link LeRobotDataset} is made of. */
export interface LeRobotDatasetParts {
  readonly info: RobotDatasetInfo;
  readonly version: FormatVersion;
  readonly root: string;
  readonly warnings: readonly string[];
  readonly drift: TimestampDrift;
  readonly episodes: readonly EpisodeRecord[];
  readonly rows: DatasetRows;
  /** Camera name as opened → name as recorded. */
  readonly recordedKeys: ReadonlyMap<string, string>;
  /** Video file inside the dataset → path. */
  readonly videoPaths: ReadonlyMap<string, string>;
  /** Made when the first image is asked for. */
  readonly createDecoder: () => VideoDecoder;
  /** Reads the cameras that are not in videos. */
  readonly pictures: ImageStore;
  /** For each episode, by what the frames of its rows are found. */
  readonly pairings: readonly Pairing[];
  /** Video file inside the dataset → when its frames are shown, of those whose frames do not follow at equal distances. */
  readonly clocks: ReadonlyMap<string, FrameClock>;
  /** Seconds. */
  readonly tolerance: number;
}

/** A LeRobot dataset on disk, opened: rows in memory, images decoded on demand. */
export class LeRobotDataset implements RobotDataset {
  readonly info: RobotDatasetInfo;
  /** Format it is stored in. */
  readonly version: FormatVersion;
  /** Its folder. */
  readonly root: string;
  /** What was unusual about it and how it was read; empty for a clean dataset. */
  readonly warnings: readonly string[];
  readonly drift: TimestampDrift;
  readonly #parts: LeRobotDatasetParts;
  #decoder: VideoDecoder | null = null;
  #isClosed = false;

  constructor(parts: LeRobotDatasetParts) {
    this.info = parts.info;
    this.version = parts.version;
    this.root = parts.root;
    this.warnings = parts.warnings;
    this.drift = parts.drift;
    this.#parts = parts;
  }

  state(frame: number): Float32Array {
    this.#checkFrame(frame);
    const size = this.info.stateNames.length;
    return this.#parts.rows.state.slice(frame * size, (frame + 1) * size);
  }

  actionChunk(frame: number, length: number): ActionChunk {
    const { episode } = this.locate(frame);
    if (!Number.isInteger(length) || length < 1 || length > 65_536) {
      throw new RangeError(`An action chunk has from 1 to 65536 steps, not ${length}`);
    }
    const size = this.info.actionNames.length;
    const last = this.#parts.rows.offsets[episode + 1]! - 1;
    const actions = new Float32Array(length * size);
    const isPad = new Uint8Array(length);
    for (let step = 0; step < length; step++) {
      const row = Math.min(frame + step, last);
      actions.set(this.#parts.rows.action.subarray(row * size, (row + 1) * size), step * size);
      isPad[step] = frame + step > last ? 1 : 0;
    }
    return { actions, isPad };
  }

  task(frame: number): string {
    this.#checkFrame(frame);
    const { task, taskTexts } = this.#parts.rows;
    return taskTexts[task[frame]!]!;
  }

  /** Seconds since the start of the frame's episode, as recorded. */
  timestamp(frame: number): number {
    this.#checkFrame(frame);
    return this.#parts.rows.timestamp[frame]!;
  }

  /**
   * The episode of a frame, as an index into `info.episodes`, and the frame's position in it, from 0.
   *
   * @throws RangeError when there is no such frame
   */
  locate(frame: number): { readonly episode: number; readonly position: number } {
    this.#checkFrame(frame);
    const { offsets } = this.#parts.rows;
    let low = 0;
    let high = offsets.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (offsets[middle]! <= frame) low = middle;
      else high = middle;
    }
    return { episode: low, position: frame - offsets[low]! };
  }

  /** Where a frame of a camera recorded as video is: the file and the time in it, in seconds. */
  videoPosition(frame: number, cameraKey: string): { readonly file: string; readonly timestamp: number } {
    const { episode, position } = this.locate(frame);
    const recorded = this.#parts.recordedKeys.get(cameraKey);
    const span = recorded === undefined ? undefined : this.#parts.episodes[episode]!.videos.get(recorded);
    if (span === undefined) throw unknownCamera(cameraKey, this.info);
    const clock = this.#parts.clocks.get(span.file);
    const { fps } = this.info;
    const inEpisode = (): number => (clock === undefined ? position / fps : positionTime({ clock, from: span.fromTimestamp }, position, fps));
    const offset = this.#parts.pairings[episode] === 'position' ? inEpisode() : this.timestamp(frame);
    return { file: this.#parts.videoPaths.get(span.file)!, timestamp: span.fromTimestamp + offset };
  }

  /** By what the frames of an episode's rows are found; `episode` is an index into `info.episodes`. */
  pairing(episode: number): Pairing {
    const pairing = this.#parts.pairings[episode];
    if (pairing === undefined) throw new RangeError(`${this.info.name} has ${this.info.episodes.length} episodes, no episode at ${episode}`);
    return pairing;
  }

  /** Cameras whose pictures are kept in rows, or in files beside them, by the name that they have here. */
  get pictureCameras(): readonly string[] {
    const inVideos = this.#parts.episodes[0]?.videos;
    return this.info.cameras.flatMap(({ key }) => (inVideos?.has(this.#parts.recordedKeys.get(key)!) === true ? [] : [key]));
  }

  /** Where a frame of a camera whose pictures are kept in rows is. */
  picturePosition(frame: number, cameraKey: string): ImagePosition {
    const { episode, position } = this.locate(frame);
    const camera = this.#parts.recordedKeys.get(cameraKey);
    if (camera === undefined) throw unknownCamera(cameraKey, this.info);
    const { files, row } = this.#parts.rows;
    return { file: files[episode]!, row: row[frame]!, camera, episodeIndex: this.info.episodes[episode]!.episodeIndex, frameIndex: position };
  }

  async images(frame: number, cameraKeys: readonly string[], reuse?: readonly RgbImage[]): Promise<readonly RgbImage[]> {
    if (this.#isClosed) throw new DatasetError('DATASET_CLOSED', `${this.info.name} was closed`);
    return await Promise.all(cameraKeys.map((key, i) => this.#image(frame, key, reuse?.[i])));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const decoder = this.#decoder;
    this.#decoder = null;
    await decoder?.close();
    await this.#parts.pictures.close();
  }

  async #image(frame: number, cameraKey: string, reuse: RgbImage | undefined): Promise<RgbImage> {
    const { episode } = this.locate(frame);
    const camera = this.info.cameras.find(({ key }) => key === cameraKey);
    const recorded = this.#parts.recordedKeys.get(cameraKey);
    if (camera === undefined || recorded === undefined) throw unknownCamera(cameraKey, this.info);
    if (this.#parts.episodes[episode]!.videos.has(recorded)) {
      const decoder = (this.#decoder ??= this.#parts.createDecoder());
      const into = reuse?.data.buffer;
      const where = this.videoPosition(frame, cameraKey);
      const { tolerance } = this.#parts;
      const image = await decoder.frame({ ...where, tolerance, ...(into instanceof ArrayBuffer ? { into } : {}) });
      assertSize(image, camera, where.file);
      return image;
    }
    return this.#parts.pictures.picture(this.picturePosition(frame, cameraKey), camera);
  }

  #checkFrame(frame: number): void {
    if (!Number.isInteger(frame) || frame < 0 || frame >= this.info.frameCount) {
      throw new RangeError(`${this.info.name} has frames 0 … ${this.info.frameCount - 1}, not ${frame}`);
    }
  }
}

/** A file's tables may claim another size than its coded images have. */
function assertSize({ height, width }: RgbImage, camera: CameraInfo, file: string): void {
  if (camera.height === height && camera.width === width) return;
  const claimed = `${camera.height}×${camera.width}`;
  throw new DatasetError('DATASET_FRAME', `${file} holds images of ${height}×${width} pixels and claims ${claimed}`, { file });
}

function unknownCamera(key: string, info: RobotDatasetInfo): DatasetError {
  const known = info.cameras.map((camera) => camera.key).join(', ');
  return new DatasetError('DATASET_CAMERA_UNKNOWN', `${info.name} has no camera "${key}"; it has: ${known || 'none'}`, {
    hint: `Rename one: --rename <recorded name>=${key}`,
  });
}
