import { Zk0Error } from '@zk0/core';
import { PolicyError } from '../errors.ts';

/** Share of a dataset's frames that may be unreadable where nobody says how many; at least one frame may. */
const DEFAULT_SHARE = 0.01;

/** The frames of a dataset that were found not to be decodable, and how many there may be. */
export class UnreadableFrames {
  readonly #frames = new Set<number>();
  readonly #datasetName: string;
  readonly #budget: number;
  readonly #onUnreadable: ((frame: number, error: Zk0Error) => void) | undefined;

  /**
   * @param budget how many there may be; 1 % when absent. One frame of the dataset must be left in any case.
   * @param onUnreadable told of each once
   */
  constructor(
    dataset: { readonly name: string; readonly frameCount: number },
    budget: number | undefined,
    onUnreadable: ((frame: number, error: Zk0Error) => void) | undefined,
  ) {
    this.#datasetName = dataset.name;
    this.#budget = Math.min(budget ?? Math.max(1, Math.floor(DEFAULT_SHARE * dataset.frameCount)), dataset.frameCount - 1);
    this.#onUnreadable = onUnreadable;
  }

  /** How many are known. It only grows. */
  get count(): number {
    return this.#frames.size;
  }

  has(frame: number): boolean {
    return this.#frames.has(frame);
  }

  /**
   * Takes down what kept a frame from being read.
   *
   * @throws PolicyError CORRUPT_FRAMES beyond the budget; the error itself where it is not about one frame
   */
  note(frame: number, error: unknown): void {
    // The code by which a dataset says that this frame is damaged and others may not be.
    if (!(error instanceof Zk0Error) || error.code !== 'DATASET_FRAME') throw error;
    if (this.#frames.has(frame)) return;
    this.#frames.add(frame);
    this.#onUnreadable?.(frame, error);
    if (this.#frames.size <= this.#budget) return;
    throw new PolicyError(
      'CORRUPT_FRAMES',
      `${this.#frames.size} frames of dataset ${this.#datasetName} cannot be decoded, ${this.#budget} may be; the last: ${error.message}`,
      { cause: error, hint: 'Make a copy without their episodes: `zk0-client dataset validate URI --fix DIR --drop unreadable`.' },
    );
  }
}
