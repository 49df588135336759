import type { RgbImage } from '@zk0/core';

/** Mean brightness (of 255) below which an image counts as black. */
const BLACK_MEAN = 4;

/** Mean absolute difference (of 255) below which two images count as the same. */
const FROZEN_DIFFERENCE = 0.05;

/** Frames of each episode and camera that are looked at, unless more or fewer are asked for. */
export const DEFAULT_SAMPLES = 5;

/** Which frames of an episode to decode: evenly spread, the first and the last among them. */
export function sampledPositions(length: number, samples: number): readonly number[] {
  if (samples >= length) return Array.from({ length }, (_, position) => position);
  const step = (length - 1) / Math.max(1, samples - 1);
  return Array.from({ length: samples }, (_, i) => Math.round(i * step));
}

/** Tells from some images of a camera whether it saw nothing, or always the same. */
export class ImageSequence {
  #first: RgbImage | null = null;
  #count = 0;
  #brightest = 0;
  #largestChange = 0;

  add(image: RgbImage): void {
    this.#count++;
    this.#brightest = Math.max(this.#brightest, meanOf(image.data));
    if (this.#first === null) this.#first = image;
    else this.#largestChange = Math.max(this.#largestChange, meanDifference(this.#first.data, image.data));
  }

  get isBlack(): boolean {
    return this.#count > 0 && this.#brightest < BLACK_MEAN;
  }

  get isFrozen(): boolean {
    return this.#count > 1 && this.#largestChange < FROZEN_DIFFERENCE;
  }
}

function meanOf(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return sum / bytes.length;
}

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - (b[i] ?? 0));
  return sum / a.length;
}
