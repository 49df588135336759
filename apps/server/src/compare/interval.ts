/** A mean over repetitions, and half of its 95 % interval; no interval for one repetition. */
export interface Interval {
  readonly mean: number;
  readonly half: number | null;
}

/** 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom; beyond that the normal distribution's is within 4 %. */
const T = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074,
  2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/** Mean and half of the 95 % interval (Student's t) of values; `null` for none. */
export function interval(values: readonly number[]): Interval | null {
  if (values.length === 0) return null;
  const mean = values.reduce((sum, value) => sum + value / values.length, 0);
  if (values.length === 1) return { mean, half: null };
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
  return { mean, half: ((T[values.length - 2] ?? 1.96) * deviation) / Math.sqrt(values.length) };
}
