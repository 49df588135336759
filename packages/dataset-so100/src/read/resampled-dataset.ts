import { createHash } from 'node:crypto';
import type { ActionChunk, FeatureMoments, RgbImage, RobotDataset, RobotDatasetInfo } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import { episodeMoments } from '../stats/moments.ts';

/** Rates that differ by less than this share are one. */
const RATE_TOLERANCE = 0.01;

/** Beyond these a rate is a slip. */
const MAX_RATE = 1000;

/**
 * A dataset at a lower frame rate: of every episode the recorded frames nearest to `k / fps`, each with its own state, action and
 * images; nothing is computed in between. An action chunk is the actions of the frames that are left, which is what an arm that is told
 * positions does at that rate. Moments are those of these frames.
 *
 * @param fps frames a second; one within 1 % of the dataset's own leaves it as it is
 * @throws DatasetError `DATASET_UNLIKE` where the dataset has fewer frames a second
 */
export function resampledDataset(dataset: RobotDataset, fps: number): RobotDataset {
  const { info } = dataset;
  if (!(fps > 0 && fps <= MAX_RATE)) throw new RangeError(`A frame rate is a number above 0 and up to ${MAX_RATE}, not ${fps}`);
  if (Math.abs(info.fps / fps - 1) <= RATE_TOLERANCE) return dataset;
  if (info.fps < fps) {
    throw new DatasetError('DATASET_UNLIKE', `${info.uri} was recorded at ${info.fps} frames a second, fewer than the ${fps} that are asked for: frames in between are not made up`, {
      hint: `Ask for ${info.fps} or less.`,
    });
  }
  return new ResampledDataset(dataset, fps);
}

class ResampledDataset implements RobotDataset {
  readonly info: RobotDatasetInfo;
  readonly #dataset: RobotDataset;
  /** For each frame here, its frame there. */
  readonly #frames: Uint32Array;
  /** Where each episode ends here, ascending. */
  readonly #ends: readonly number[];

  constructor(dataset: RobotDataset, fps: number) {
    const { info } = dataset;
    const step = info.fps / fps;
    const frames: number[] = [];
    const episodes = info.episodes.map(({ episodeIndex, from, to }) => {
      const begin = frames.length;
      for (let k = 0; ; k++) {
        const frame = from + Math.round(k * step);
        if (frame >= to) break;
        frames.push(frame);
      }
      return { episodeIndex, from: begin, to: frames.length };
    });
    this.#dataset = dataset;
    this.#frames = Uint32Array.from(frames);
    this.#ends = episodes.map(({ to }) => to);
    const offsets = [0, ...this.#ends];
    const contentHash = createHash('sha256').update(`zk0-resampled-1\0${info.contentHash}\0${fps}`).digest('hex');
    this.info = {
      ...info,
      fps,
      frameCount: frames.length,
      episodes,
      contentHash,
      origins: [{ from: 0, contentHash, frameCount: frames.length }],
      moments: {
        state: this.#moments(info.stateNames.length, offsets, (frame) => dataset.state(frame)),
        action: this.#moments(info.actionNames.length, offsets, (frame) => dataset.actionChunk(frame, 1).actions),
      },
    };
  }

  state(frame: number): Float32Array {
    return this.#dataset.state(this.#at(frame));
  }

  actionChunk(frame: number, length: number): ActionChunk {
    this.#at(frame);
    if (!Number.isInteger(length) || length < 1 || length > 65_536) throw new RangeError(`An action chunk has from 1 to 65536 steps, not ${length}`);
    const size = this.info.actionNames.length;
    const last = this.#ends.find((end) => frame < end)! - 1;
    const actions = new Float32Array(length * size);
    const isPad = new Uint8Array(length);
    for (let step = 0; step < length; step++) {
      const here = Math.min(frame + step, last);
      actions.set(this.#dataset.actionChunk(this.#frames[here]!, 1).actions, step * size);
      isPad[step] = frame + step > last ? 1 : 0;
    }
    return { actions, isPad };
  }

  task(frame: number): string {
    return this.#dataset.task(this.#at(frame));
  }

  images(frame: number, cameraKeys: readonly string[], reuse?: readonly RgbImage[]): Promise<readonly RgbImage[]> {
    return this.#dataset.images(this.#at(frame), cameraKeys, reuse);
  }

  async close(): Promise<void> {
    await this.#dataset.close();
  }

  #at(frame: number): number {
    const there = Number.isInteger(frame) ? this.#frames[frame] : undefined;
    if (there === undefined) throw new RangeError(`${this.info.name} has frames 0 … ${this.info.frameCount - 1} at ${this.info.fps} frames a second, not ${frame}`);
    return there;
  }

  #moments(size: number, offsets: readonly number[], valuesOf: (frame: number) => Float32Array): FeatureMoments {
    const values = new Float32Array(this.#frames.length * size);
    this.#frames.forEach((frame, i) => {
      values.set(valuesOf(frame), i * size);
    });
    return episodeMoments(values, size, offsets);
  }
}
