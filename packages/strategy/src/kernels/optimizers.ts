/** The server's step from the global values to the new ones, given the combined values. */
export type OptimizerStep =
  /** The combined values are the new parameters. */
  { readonly kind: 'replace' };

/** Computes a segment's new parameters and new state. `state` is empty in the first round. */
export function optimizeSegment(
  _step: OptimizerStep,
  combined: Float64Array,
  _global: Float32Array,
  _state: readonly Float32Array[],
  result: Float32Array,
  _newState: readonly Float32Array[],
  length: number,
): void {
  for (let index = 0; index < length; index++) result[index] = combined[index]!;
}
