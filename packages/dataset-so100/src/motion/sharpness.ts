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

/** Sides longer than this are looked at in steps: focus shows at any scale that is left. */
const MAX_SIDE = 320;

/** Gathers how sharp the images of each camera are, episode by episode. */
export class Sharpness {
  readonly #values = new Map<string, { readonly place: CameraPlace; readonly of: number[] }>();

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
      byCamera.set(place.camera, [...(byCamera.get(place.camera) ?? []), { place, sharpness: median(of) }]);
    }
    return [...byCamera.values()].flatMap((episodes) => {
      const usual = median(episodes.map(({ sharpness }) => sharpness));
      return episodes.flatMap(({ place, sharpness }): Blur[] => {
        return sharpness < MOTION.blurShare * usual && sharpness < MOTION.blurVariance ? [{ ...place, sharpness, usual }] : [];
      });
    });
  }
}

/** Variance of the Laplacian of an image's brightness: a usual measure of focus (Pech-Pacheco et al. 2000). */
export function laplacianVariance({ width, height, data }: RgbImage): number {
  const step = Math.max(1, Math.floor(Math.max(width, height) / MAX_SIDE));
  const at = (x: number, y: number): number => {
    const i = (y * width + x) * 3;
    return 0.299 * data[i]! + 0.587 * data[i + 1]! + 0.114 * data[i + 2]!;
  };
  let [count, sum, squares] = [0, 0, 0];
  for (let y = 1; y < height - 1; y += step) {
    for (let x = 1; x < width - 1; x += step) {
      const value = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4 * at(x, y);
      count++;
      sum += value;
      squares += value * value;
    }
  }
  return count === 0 ? 0 : squares / count - (sum / count) ** 2;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
