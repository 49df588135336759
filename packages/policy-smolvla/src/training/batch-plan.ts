import type { UnreadableFrames } from './unreadable-frames.ts';

/** Frames in batches, and which frames of the order were skipped. */
export interface Batches {
  readonly batches: readonly (readonly number[])[];
  readonly skipped: ReadonlySet<number>;
}

/**
 * The batches of a round or an evaluation: a seeded order of frames without those that cannot be read. One that turns out so
 * later only moves what comes behind it, so that the batches are the same whenever it is found.
 */
export class BatchPlan {
  readonly #draw: (isReadable: (frame: number) => boolean) => Batches;
  readonly #unreadable: UnreadableFrames;
  #drawn: Batches;
  /** How many unreadable frames were known when it was drawn. */
  #known: number;

  constructor(unreadable: UnreadableFrames, draw: (isReadable: (frame: number) => boolean) => Batches) {
    this.#unreadable = unreadable;
    this.#draw = draw;
    this.#known = unreadable.count;
    this.#drawn = this.#redraw();
  }

  /** As far as is known by now. */
  get current(): Batches {
    if (this.#unreadable.count > this.#known) this.#drawn = this.#redraw();
    return this.#drawn;
  }

  #redraw(): Batches {
    this.#known = this.#unreadable.count;
    return this.#draw((frame) => !this.#unreadable.has(frame));
  }
}
