import type { Transform } from '../arm/transform.ts';

/** A rotation as w, x, y, z of length 1. */
export type Quaternion = readonly [number, number, number, number];

/** The rotation of a frame as a quaternion (Shepperd's method: the largest component first, so that nothing cancels). */
export function quaternionOf({ x, y, z }: Transform): Quaternion {
  const trace = x[0] + y[1] + z[2];
  const largest = Math.max(trace, x[0], y[1], z[2]);
  if (largest === trace) {
    const w = Math.sqrt(1 + trace) / 2;
    return [w, (y[2] - z[1]) / (4 * w), (z[0] - x[2]) / (4 * w), (x[1] - y[0]) / (4 * w)];
  }
  if (largest === x[0]) {
    const a = Math.sqrt(1 + x[0] - y[1] - z[2]) / 2;
    return [(y[2] - z[1]) / (4 * a), a, (y[0] + x[1]) / (4 * a), (z[0] + x[2]) / (4 * a)];
  }
  if (largest === y[1]) {
    const b = Math.sqrt(1 - x[0] + y[1] - z[2]) / 2;
    return [(z[0] - x[2]) / (4 * b), (y[0] + x[1]) / (4 * b), b, (z[1] + y[2]) / (4 * b)];
  }
  const c = Math.sqrt(1 - x[0] - y[1] + z[2]) / 2;
  return [(x[1] - y[0]) / (4 * c), (z[0] + x[2]) / (4 * c), (z[1] + y[2]) / (4 * c), c];
}
