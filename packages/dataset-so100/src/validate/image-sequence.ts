import type { RgbImage } from '@zk0/core';

/** Mean brightness (of 255) below which an image counts as black. */
const BLACK_MEAN = 4;

/** Mean brightness above which it counts as white: overexposed (as lerobot-lint has it). */
const WHITE_MEAN = 245;

/** Spread of brightness below which an image shows one colour: a camera that sends nothing. */
const FLAT_SPREAD = 0.5;

/** Mean absolute difference (of 255) below which two images count as the same. */
const FROZEN_DIFFERENCE = 0.05;

/** The same of images that follow each other, which coding makes differ: a hanging camera's were found under 0.05, slow movements over 0.2 … */
const RUN_DIFFERENCE = 0.1;

/** … more of which in a row, while at least a quarter of the actions change, are a camera that hangs (as physlint has it). */
const MAX_RUN = 5;
const MIN_MOVING = 0.25;

/** Frames of each episode and camera that are looked at, unless more or fewer are asked for. */
export const DEFAULT_SAMPLES = 5;

/** Which frames of an episode to decode: evenly spread, the first and the last among them. */
export function sampledPositions(length: number, samples: number): readonly number[] {
  if (samples >= length) return Array.from({ length }, (_, position) => position);
  const step = (length - 1) / Math.max(1, samples - 1);
  return Array.from({ length: samples }, (_, i) => Math.round(i * step));
}

/** Frames of an episode, first and last. */
export interface FrameRun {
  readonly from: number;
  readonly to: number;
}

/** Tells from some or all images of a camera whether it saw nothing, or the same, in the episode or for a while. */
export class ImageSequence {
  readonly #isMoving: (position: number) => boolean;
  #first: RgbImage | null = null;
  #last: { readonly image: RgbImage; readonly position: number } | null = null;
  #count = 0;
  #brightest = 0;
  #darkest = 255;
  #widest = 0;
  #largestChange = 0;
  #black: FrameRun | null = null;
  #same: FrameRun | null = null;
  readonly #blackRuns: FrameRun[] = [];
  readonly #sameRuns: FrameRun[] = [];

  /** @param isMoving whether the action of a frame differs from the one before */
  constructor(isMoving: (position: number) => boolean) {
    this.#isMoving = isMoving;
  }

  /**
   * Images come in the order of their positions; where some are left out, runs end.
   *
   * @returns memory of an image that is not looked at any more, for the next
   */
  add(image: RgbImage, position: number): ArrayBuffer | undefined {
    const { mean, spread } = brightnessOf(image.data);
    this.#count++;
    this.#brightest = Math.max(this.#brightest, mean);
    this.#darkest = Math.min(this.#darkest, mean);
    this.#widest = Math.max(this.#widest, spread);
    if (this.#first === null) this.#first = image;
    else this.#largestChange = Math.max(this.#largestChange, meanDifference(this.#first.data, image.data));
    const follows = this.#last !== null && position === this.#last.position + 1;
    if (mean >= BLACK_MEAN || !follows) this.#endBlack();
    if (mean < BLACK_MEAN) this.#black = { from: this.#black?.from ?? position, to: position };
    const isSame = follows && meanDifference(this.#last!.image.data, image.data) <= RUN_DIFFERENCE;
    if (isSame) this.#same = { from: this.#same?.from ?? position - 1, to: position };
    else this.#endSame();
    const before = this.#last?.image;
    this.#last = { image, position };
    // Pictures of other decoders may be parts of a larger buffer.
    const isWhole = before !== undefined && before !== this.#first && before.data.buffer instanceof ArrayBuffer && before.data.byteLength === before.data.buffer.byteLength;
    return isWhole ? before.data.buffer : undefined;
  }

  get isBlack(): boolean {
    return this.#count > 0 && this.#brightest < BLACK_MEAN;
  }

  get isWhite(): boolean {
    return this.#count > 0 && this.#darkest > WHITE_MEAN;
  }

  get isFlat(): boolean {
    return this.#count > 0 && this.#widest < FLAT_SPREAD;
  }

  get isFrozen(): boolean {
    return this.#count > 1 && this.#largestChange < FROZEN_DIFFERENCE;
  }

  /** Black frames between others. */
  get blackRuns(): readonly FrameRun[] {
    this.#endBlack();
    return this.#blackRuns;
  }

  /** Stretches in which the camera shows the same while the arm is told to move. */
  get frozenRuns(): readonly FrameRun[] {
    this.#endSame();
    return this.#sameRuns;
  }

  #endBlack(): void {
    if (this.#black !== null) this.#blackRuns.push(this.#black);
    this.#black = null;
  }

  #endSame(): void {
    const run = this.#same;
    this.#same = null;
    if (run === null || run.to - run.from + 1 <= MAX_RUN) return;
    let moving = 0;
    for (let position = run.from + 1; position <= run.to; position++) if (this.#isMoving(position)) moving++;
    if (moving >= MIN_MOVING * (run.to - run.from)) this.#sameRuns.push(run);
  }
}

function brightnessOf(bytes: Uint8Array): { mean: number; spread: number } {
  let [sum, squares] = [0, 0];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    sum += byte;
    squares += byte * byte;
  }
  const mean = sum / bytes.length;
  return { mean, spread: Math.sqrt(Math.max(0, squares / bytes.length - mean * mean)) };
}

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - (b[i] ?? 0));
  return sum / a.length;
}
