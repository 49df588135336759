import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { RgbImage, WorldObservation } from '@zk0/core';
import { VideoFile } from '@zk0/dataset-so100';
import type { Trial } from '@zk0/rollout';

/** Pixels of a clip for one of a camera. */
const SCALE = 2;
/** Seconds for which the last picture stays. */
const LAST_PICTURE = 1;

/** Which of a roll-out's trials to film: the first `each` successes and as many failures. */
export function trialsToFilm(results: readonly Trial[], each: number): number[] {
  const first = (success: boolean): Trial[] => results.filter((trial) => trial.success === success).slice(0, each);
  return [...first(true), ...first(false)].map(({ index }) => index);
}

/** Films trials that run side by side, both cameras beside each other, as MP4 files. */
export class Clips {
  readonly #directory: string;
  readonly #frames = new Map<number, RgbImage[]>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Takes what is seen before an action of a trial, and at its end. */
  film(index: number, { images }: WorldObservation): void {
    const frames = this.#frames.get(index) ?? [];
    frames.push(sideBySide(Object.values(images)));
    this.#frames.set(index, frames);
  }

  /** Ends a trial and writes its clip. */
  async end(trial: Trial, fps: number): Promise<void> {
    const frames = this.#frames.get(trial.index) ?? [];
    this.#frames.delete(trial.index);
    const [first] = frames;
    if (first === undefined) return;
    await mkdir(this.#directory, { recursive: true });
    const number = String(trial.index + 1).padStart(3, '0');
    const place = trial.place === null ? '' : `-${trial.place}`;
    const path = join(this.#directory, `trial-${number}${place}-${trial.failure ?? 'success'}.mp4`);
    const video = await VideoFile.create({ path, width: first.width, height: first.height, fps, codec: 'h264' });
    try {
      for (const frame of frames) await video.write(frame);
      for (let extra = 0; extra < LAST_PICTURE * fps; extra++) await video.write(frames.at(-1)!);
      video.close();
    } catch (error) {
      video.abort();
      throw error;
    }
  }
}

/** Pictures of one height beside each other, each pixel SCALE × SCALE large. */
export function sideBySide(pictures: readonly RgbImage[]): RgbImage {
  const height = Math.max(...pictures.map((picture) => picture.height)) * SCALE;
  const width = pictures.reduce((sum, picture) => sum + picture.width, 0) * SCALE;
  const data = new Uint8Array(width * height * 3);
  let left = 0;
  for (const picture of pictures) {
    for (let y = 0; y < picture.height * SCALE; y++) {
      for (let x = 0; x < picture.width * SCALE; x++) {
        const from = (Math.floor(y / SCALE) * picture.width + Math.floor(x / SCALE)) * 3;
        const to = (y * width + left + x) * 3;
        data[to] = picture.data[from]!;
        data[to + 1] = picture.data[from + 1]!;
        data[to + 2] = picture.data[from + 2]!;
      }
    }
    left += picture.width * SCALE;
  }
  return { width, height, data };
}
