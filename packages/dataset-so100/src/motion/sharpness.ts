import type { RgbImage } from '@zk0/core';
import { MOTION } from './thresholds.ts';

/** A camera in an episode. */
export interface CameraPlace {
  readonly episode: number;
  readonly camera: string;
  readonly file: string;
}

/** A camera that saw an episode out of focus. */
export interface Blur extends CameraPlace {
  /** Variance of the Laplacian: of this episode, and of half of the camera's. */
  readonly sharpness: number;
  readonly usual: number;
}

/** Images are made so small before their focus is measured. */
const MAX_SIDE = 160;

/** An image with less than this shows nothing at all, and is no matter of focus. */
const NOTHING = 0.5;

/** Gathers how sharp the images of each camera are, episode by episode. */
export class Sharpness {
  readonly #values = new Map<string, { readonly place: CameraPlace; readonly of: number[] }>();

  /** Says that images of a camera will come, so that the order of cameras is that in which they were named. */
  expect(place: CameraPlace): void {
    const key = `${place.episode} ${place.camera}`;
    if (!this.#values.has(key)) this.#values.set(key, { place, of: [] });
  }

  add(place: CameraPlace, image: RgbImage): void {
    const key = `${place.episode} ${place.camera}`;
    const known = this.#values.get(key) ?? { place, of: [] };
    known.of.push(laplacianVariance(image));
    this.#values.set(key, known);
  }

  /** Episodes in which a camera saw far less than it usually does. */
  blurred(): readonly Blur[] {
    const byCamera = new Map<string, { readonly place: CameraPlace; readonly sharpness: number }[]>();
    for (const { place, of } of this.#values.values()) {
      if (of.length === 0) continue;
      byCamera.set(place.camera, [...(byCamera.get(place.camera) ?? []), { place, sharpness: median(of) }]);
    }
    return [...byCamera.values()].flatMap((episodes) => {
      const usual = median(episodes.map(({ sharpness }) => sharpness));
      return episodes.flatMap(({ place, sharpness }): Blur[] => {
        return sharpness > NOTHING && sharpness < MOTION.blurShare * usual && sharpness < MOTION.blurVariance ? [{ ...place, sharpness, usual }] : [];
      });
    });
  }
}

/**
 * Variance of the Laplacian of an image's brightness: a usual measure of focus (Pech-Pacheco et al. 2000). The image is made smaller
 * first, which takes a sensor's noise out of it.
 */
export function laplacianVariance(image: RgbImage): number {
  const { width, height, luma } = smaller(image);
  let [count, sum, squares] = [0, 0, 0];
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const i = y * width + x;
      const value = luma[i - 1]! + luma[i + 1]! + luma[i - width]! + luma[i + width]! - 4 * luma[i]!;
      count++;
      sum += value;
      squares += value * value;
    }
  }
  return count === 0 ? 0 : squares / count - (sum / count) ** 2;
}

/** Brightness of an image whose sides are at most {@link MAX_SIDE}: means of squares of pixels. */
function smaller({ width, height, data }: RgbImage): { width: number; height: number; luma: Float32Array } {
  const factor = Math.max(1, Math.ceil(Math.max(width, height) / MAX_SIDE));
  const [columns, rows] = [Math.floor(width / factor), Math.floor(height / factor)];
  const luma = new Float32Array(columns * rows);
  for (let y = 0; y < rows * factor; y++) {
    const row = Math.floor(y / factor) * columns;
    for (let x = 0; x < columns * factor; x++) {
      const i = (y * width + x) * 3;
      const cell = row + Math.floor(x / factor);
      luma[cell] = luma[cell]! + (0.299 * data[i]! + 0.587 * data[i + 1]! + 0.114 * data[i + 2]!) / (factor * factor);
    }
  }
  return { width: columns, height: rows, luma };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
