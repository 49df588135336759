/** Sums above this are formed of scaled values: a sum of float64 may overflow although the mean does not. */
const SAFE_SUM = 2 ** 1000;

/**
 * Σ weight·value / Σ weight of finite values, in their order. It lies between the least and the greatest value, whatever their
 * magnitudes: no sum on the way overflows.
 *
 * @param weights - positive and finite; all equal when absent.
 * @returns NaN for no values.
 */
export function weightedMean(values: readonly number[], weights?: readonly number[]): number {
  if (values.length === 0) return NaN;
  const weightOf = (index: number): number => weights?.[index] ?? 1;
  const total = values.reduce((sum, _, index) => sum + weightOf(index), 0);
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  // A power of two changes no bit of a value, as long as it stays a normal number.
  const scale = largest * total > SAFE_SUM ? 2 ** -Math.ceil(Math.log2(largest) + Math.log2(total) - 1000) : 1;
  const sum = values.reduce((sum, value, index) => sum + value * scale * weightOf(index), 0);
  const mean = sum / total / scale;
  return Math.min(Math.max(mean, Math.min(...values)), Math.max(...values));
}

/**
 * Population standard deviation of finite values, without squares that overflow.
 *
 * @returns NaN for no values; at most 1.8e308, where the true value may be a rounding above that.
 */
export function standardDeviation(values: readonly number[]): number {
  if (values.length === 0) return NaN;
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0) return 0;
  // Exact, and far from both ends of float64 for the values that decide.
  const scale = largest > 1e150 || largest < 1e-150 ? 2 ** -Math.max(-1000, Math.floor(Math.log2(largest))) : 1;
  const scaled = values.map((value) => value * scale);
  const mean = weightedMean(scaled);
  const variance = scaled.reduce((sum, value) => sum + (value - mean) ** 2, 0) / scaled.length;
  return Math.min(Math.sqrt(variance) / scale, Number.MAX_VALUE);
}
