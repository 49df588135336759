import { createHash } from 'node:crypto';
import { deriveSeed, Random, type ActionChunk, type AugmentConfig, type RgbImage, type RobotDataset, type RobotDatasetInfo } from '@zk0/core';
import { drawTransforms } from './draw-transforms.ts';
import { transformImage } from './image-transforms.ts';

/** Decoded frames that are kept for the variants that come next. */
const MAX_KEPT = 8;

/**
 * A dataset in which each frame is there several times: as recorded, and in so many variants whose images are changed as the seed says.
 * Frame `i` of the recordings is frame `i · (variants + 1)`, its variants follow it. A variant of a frame is the same whenever it is asked
 * for, so that whatever is computed from it can be kept; each camera's image is changed on its own, as LeRobot does.
 */
export function augmentedDataset(dataset: RobotDataset, config: AugmentConfig, seed: string): RobotDataset {
  return new AugmentedDataset(dataset, config, seed);
}

class AugmentedDataset implements RobotDataset {
  readonly info: RobotDatasetInfo;
  readonly #dataset: RobotDataset;
  readonly #config: AugmentConfig;
  readonly #seed: string;
  readonly #copies: number;
  readonly #decoded = new Map<string, Promise<readonly RgbImage[]>>();

  constructor(dataset: RobotDataset, config: AugmentConfig, seed: string) {
    const { info } = dataset;
    this.#dataset = dataset;
    this.#config = config;
    this.#seed = seed;
    this.#copies = config.variants + 1;
    const contentHash = createHash('sha256').update(`zk0-augmented-1\0${info.contentHash}\0${seed}\0${JSON.stringify(config)}`).digest('hex');
    const frameCount = info.frameCount * this.#copies;
    this.info = {
      ...info,
      contentHash,
      frameCount,
      origins: [{ from: 0, contentHash, frameCount }],
      episodes: info.episodes.map(({ episodeIndex, from, to }) => ({ episodeIndex, from: from * this.#copies, to: to * this.#copies })),
    };
  }

  state(frame: number): Float32Array {
    return this.#dataset.state(this.#recorded(frame));
  }

  actionChunk(frame: number, length: number): ActionChunk {
    return this.#dataset.actionChunk(this.#recorded(frame), length);
  }

  task(frame: number): string {
    return this.#dataset.task(this.#recorded(frame));
  }

  async images(frame: number, cameraKeys: readonly string[]): Promise<readonly RgbImage[]> {
    const recorded = this.#recorded(frame);
    const variant = frame % this.#copies;
    const images = await this.#decode(recorded, cameraKeys);
    if (variant === 0) return images;
    return images.map((image, i) => {
      const random = new Random(deriveSeed(this.#seed, 'augment', recorded, variant, cameraKeys[i]!));
      return transformImage(image, drawTransforms(this.#config, image, random));
    });
  }

  close(): Promise<void> {
    this.#decoded.clear();
    return this.#dataset.close();
  }

  #recorded(frame: number): number {
    return Math.floor(frame / this.#copies);
  }

  /** Variants of a frame are asked for one after the other: it is decoded once. */
  #decode(frame: number, cameraKeys: readonly string[]): Promise<readonly RgbImage[]> {
    const key = JSON.stringify([frame, cameraKeys]);
    const known = this.#decoded.get(key);
    if (known !== undefined) return known;
    const images = this.#dataset.images(frame, cameraKeys);
    this.#decoded.set(key, images);
    // What could not be decoded is tried again for the next variant.
    images.catch(() => this.#decoded.delete(key));
    const [oldest] = this.#decoded.keys();
    if (this.#decoded.size > MAX_KEPT) this.#decoded.delete(oldest!);
    return images;
  }
}
