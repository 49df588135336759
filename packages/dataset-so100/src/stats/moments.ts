import type { FeatureMoments, Normalizer } from '@zk0/core';
import { DatasetError } from '../errors.ts';

/**
 * Exact moments of `count` rows of `size` values: two passes in float64, so that the result does not depend on how far
 * the values are from zero.
 *
 * @param values row-major, `count × size`
 */
export function momentsOf(values: ArrayLike<number>, size: number): FeatureMoments {
  const count = values.length / size;
  if (!Number.isInteger(count)) throw new RangeError(`${values.length} values are no rows of ${size}`);
  const mean = new Array<number>(size).fill(0);
  const m2 = new Array<number>(size).fill(0);
  const min = new Array<number>(size).fill(Infinity);
  const max = new Array<number>(size).fill(-Infinity);
  for (let column = 0; column < size; column++) {
    let sum = 0;
    for (let i = column; i < values.length; i += size) {
      const value = values[i]!;
      sum += value;
      if (value < min[column]!) min[column] = value;
      if (value > max[column]!) max[column] = value;
    }
    const center = count === 0 ? 0 : sum / count;
    let squares = 0;
    let residue = 0;
    for (let i = column; i < values.length; i += size) {
      const deviation = values[i]! - center;
      squares += deviation * deviation;
      residue += deviation;
    }
    mean[column] = count === 0 ? 0 : center + residue / count;
    m2[column] = count === 0 ? 0 : Math.max(0, squares - (residue * residue) / count);
  }
  return { count, mean, m2, min, max };
}

/**
 * Merges moments of disjoint sets of rows (Chan, Golub & LeVeque 1979). Merging nothing, or only empty ones, is an error.
 *
 * The result depends on the order of the list only in the last bits; sort it where runs must repeat to the byte.
 *
 * @throws DatasetError `DATASET_METADATA` when the sizes differ or a count or value is not finite
 */
export function mergeMoments(list: readonly FeatureMoments[]): FeatureMoments {
  const filled = list.filter((moments) => moments.count > 0);
  const first = filled[0];
  if (first === undefined) throw new DatasetError('DATASET_METADATA', 'There are no statistics to merge: no rows');
  for (const moments of filled) assertUsable(moments, first.mean.length);
  return filled.slice(1).reduce(mergeTwo, first);
}

/**
 * Moments of consecutive episodes, taken one by one and merged: exact over millions of rows.
 *
 * @param offsets row at which each episode begins, and the number of rows
 */
export function episodeMoments(values: Float32Array, size: number, offsets: readonly number[]): FeatureMoments {
  return mergeMoments(
    offsets.slice(0, -1).map((from, i) => momentsOf(values.subarray(from * size, offsets[i + 1]! * size), size)),
  );
}

function mergeTwo(a: FeatureMoments, b: FeatureMoments): FeatureMoments {
  const count = a.count + b.count;
  const weight = b.count / count;
  const delta = a.mean.map((mean, i) => b.mean[i]! - mean);
  return {
    count,
    mean: a.mean.map((mean, i) => mean + delta[i]! * weight),
    m2: a.m2.map((m2, i) => m2 + b.m2[i]! + delta[i]! * delta[i]! * a.count * weight),
    min: a.min.map((min, i) => Math.min(min, b.min[i]!)),
    max: a.max.map((max, i) => Math.max(max, b.max[i]!)),
  };
}

function assertUsable(moments: FeatureMoments, size: number): void {
  const { count, mean, m2, min, max } = moments;
  const vectors = [mean, m2, min, max];
  if (vectors.some((vector) => vector.length !== size)) {
    throw new DatasetError('DATASET_METADATA', `Statistics of ${mean.length} and ${size} values cannot be merged`, {
      hint: 'Every participant must use the same robot: the same state and action sizes.',
    });
  }
  const isFinite = vectors.every((vector) => vector.every(Number.isFinite));
  if (!Number.isSafeInteger(count) || count < 0 || !isFinite || m2.some((value) => value < 0)) {
    throw new DatasetError('DATASET_METADATA', 'Statistics hold a value that is not finite, or a negative spread');
  }
}

/** Spread below which a feature counts as constant, relative to the size of its values. */
const RELATIVE_FLOOR = 1e-6;

/**
 * Standard deviations that are safe to divide by: a feature that (nearly) never moves gets 1, so that it normalises to
 * about 0 instead of exploding (lerobot #3645). `std = sqrt(m2 / count)`, as LeRobot computes it.
 */
export function safeStd(moments: FeatureMoments): readonly number[] {
  return moments.m2.map((m2, i) => {
    const std = Math.sqrt(m2 / moments.count);
    const scale = Math.max(Math.abs(moments.min[i]!), Math.abs(moments.max[i]!), Math.abs(moments.mean[i]!));
    return std > RELATIVE_FLOOR * scale && std > Number.MIN_VALUE * 2 ** 40 ? std : 1;
  });
}

/**
 * The mean/std normaliser that all participants share, from the moments of all of them.
 *
 * @throws DatasetError `DATASET_METADATA` when the moments are empty or not finite
 */
export function normalizerFrom(moments: { readonly state: FeatureMoments; readonly action: FeatureMoments }): Normalizer {
  const state = mergeMoments([moments.state]);
  const action = mergeMoments([moments.action]);
  return {
    state: { mean: state.mean, std: safeStd(state) },
    action: { mean: action.mean, std: safeStd(action) },
  };
}
