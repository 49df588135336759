import { deriveSeed, Random } from '@zk0/core';

/**
 * An endless, seeded order of frames: epoch after epoch, each a fresh permutation of all frames. Every step can be asked
 * for directly, so training resumes in the middle of an epoch from nothing but the seed and the step.
 */
export class FrameOrder {
  readonly #frameCount: number;
  readonly #seed: string;
  #epoch = -1;
  #permutation: readonly number[] = [];

  constructor(frameCount: number, seed: string) {
    if (!Number.isInteger(frameCount) || frameCount < 1) {
      throw new RangeError(`An order needs at least one frame, not ${frameCount}`);
    }
    this.#frameCount = frameCount;
    this.#seed = seed;
  }

  /** The frame of a step, from 0. Steps of one epoch are fast; going back to an earlier one shuffles it again. */
  frameAt(step: number): number {
    if (!Number.isSafeInteger(step) || step < 0) throw new RangeError(`There is no step ${step}`);
    const epoch = Math.floor(step / this.#frameCount);
    if (epoch !== this.#epoch) {
      const frames = Array.from({ length: this.#frameCount }, (_, frame) => frame);
      this.#permutation = new Random(deriveSeed(this.#seed, 'epoch', epoch)).shuffled(frames);
      this.#epoch = epoch;
    }
    return this.#permutation[step - epoch * this.#frameCount]!;
  }
}
