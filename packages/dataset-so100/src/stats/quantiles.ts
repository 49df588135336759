/** The quantiles that LeRobot stores beside mean, spread and range. */
export const QUANTILES = { q01: 0.01, q10: 0.1, q50: 0.5, q90: 0.9, q99: 0.99 } as const;

export type QuantileName = keyof typeof QUANTILES;

/** One value for each quantile. */
export function mapQuantiles<T>(valueOf: (name: QuantileName) => T): Record<QuantileName, T> {
  return { q01: valueOf('q01'), q10: valueOf('q10'), q50: valueOf('q50'), q90: valueOf('q90'), q99: valueOf('q99') };
}
