import { mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CameraInfo, RgbImage } from '@zk0/core';
import type { EpisodeVideo } from './dataset-tables.ts';
import { countLevels, episodeImageStatistics, type ImageLevels } from './image-levels.ts';
import { FIRST_FILE, nextFile, PATHS } from './layout.ts';
import { VideoFile, type VideoCodec } from './video-file.ts';

export interface CameraRecorderOptions {
  readonly fps: number;
  readonly codec: VideoCodec;
  /** A file beyond this size gets no further episode. */
  readonly maxMegabytes: number;
}

/** Encodes one camera's frames: many episodes a file, a new file once one has grown large; image statistics beside. */
export class CameraRecorder {
  readonly #root: string;
  readonly #camera: CameraInfo;
  readonly #options: CameraRecorderOptions;
  #position = FIRST_FILE;
  #file: VideoFile | undefined;
  #episodeStart = 0;
  /** Pixel counts of each frame of this episode: which frames count is known only when its length is. */
  #levels: ImageLevels[] = [];

  constructor(root: string, camera: CameraInfo, options: CameraRecorderOptions) {
    this.#root = root;
    this.#camera = camera;
    this.#options = options;
  }

  async write(image: RgbImage): Promise<void> {
    const file = await this.#openFile();
    this.#levels.push(countLevels(image));
    await file.write(image);
  }

  /** Ends the episode; the frames written since the last end are its video. */
  async endEpisode(): Promise<EpisodeVideo> {
    const file = await this.#openFile();
    const position = this.#position;
    const fromTimestamp = this.#episodeStart / this.#options.fps;
    const toTimestamp = file.frameCount / this.#options.fps;
    const levels = this.#levels;
    const statistics = await episodeImageStatistics(levels.length, (frame) => levels[frame]!);
    this.#episodeStart = file.frameCount;
    this.#levels = [];
    if ((await stat(file.path)).size >= this.#options.maxMegabytes * 2 ** 20) this.finish();
    return { position, fromTimestamp, toTimestamp, statistics };
  }

  /** Completes the file being written. */
  finish(): void {
    const file = this.#file;
    this.#file = undefined;
    file?.close();
    this.#position = nextFile(this.#position);
    this.#episodeStart = 0;
  }

  /** Lets go of the file being written without completing it. */
  abort(): void {
    const file = this.#file;
    this.#file = undefined;
    file?.abort();
  }

  async #openFile(): Promise<VideoFile> {
    if (this.#file !== undefined) return this.#file;
    const path = join(this.#root, PATHS.video(this.#camera.key, this.#position));
    await mkdir(dirname(path), { recursive: true });
    const { width, height } = this.#camera;
    const { fps, codec } = this.#options;
    this.#file = await VideoFile.create({ path, width, height, fps, codec });
    return this.#file;
  }
}
