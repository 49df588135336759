import { accumulate } from './linear.ts';
import { sortColumns, sortingNetwork, type Comparator } from './sorting-network.ts';

/** A statistic of one value per client, coordinate by coordinate. */
export type ColumnRule =
  /** Mean of what is left without the `cut` smallest and the `cut` largest. The median is the most that can be cut. */
  | { readonly kind: 'trimmed'; readonly cut: number }
  /** Mean of the `count` values nearest the median. Of two equally near, the smaller counts. */
  | { readonly kind: 'nearest'; readonly count: number };

/** The cut that makes a trimmed mean the median of `count` values. */
export function medianCut(count: number): number {
  return Math.max(0, Math.ceil(count / 2) - 1);
}

/** Networks depend on the rule and the number of clients alone: one per pass. */
const networks = new WeakMap<ColumnRule, readonly Comparator[]>();

/** Applies a rule to the i-th values of all arrays, for every i. The arrays' contents are lost. */
export function columnStatistic(rule: ColumnRule, arrays: readonly Float32Array[], into: Float64Array, length: number): void {
  let network = networks.get(rule);
  if (network === undefined) {
    network = sortingNetwork(arrays.length, wantedRanks(rule, arrays.length));
    networks.set(rule, network);
  }
  sortColumns(arrays, network);
  if (rule.kind === 'trimmed') {
    const kept = arrays.slice(rule.cut, arrays.length - rule.cut);
    into.fill(0, 0, length);
    accumulate(into, kept, kept.map(() => 1), length);
    for (let index = 0; index < length; index++) into[index]! /= kept.length;
    return;
  }
  const column = new Float64Array(arrays.length);
  for (let index = 0; index < length; index++) {
    for (let rank = 0; rank < column.length; rank++) column[rank] = arrays[rank]![index]!;
    into[index] = meanOfNearest(column, median(column), rule.count);
  }
}

function wantedRanks(rule: ColumnRule, count: number): { from: number; to: number; ordered: boolean } {
  return rule.kind === 'trimmed'
    ? { from: rule.cut, to: count - rule.cut, ordered: false }
    : { from: 0, to: count, ordered: true };
}

/** The median of sorted values. */
export function median(sorted: Float64Array): number {
  const upper = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[upper]! : (sorted[upper - 1]! + sorted[upper]!) / 2;
}

/**
 * Mean of the `count` values nearest `reference`. Of two equally near, the smaller counts.
 *
 * @param sorted Values in ascending order.
 * @throws RangeError when `count` is not between 1 and their number.
 */
export function meanOfNearest(sorted: Float64Array, reference: number, count: number): number {
  if (count < 1 || count > sorted.length) throw new RangeError(`cannot take the ${count} nearest of ${sorted.length} values`);
  let first = 0;
  let last = sorted.length - 1;
  while (last - first >= count) {
    if (reference - sorted[first]! > sorted[last]! - reference) first++;
    else last--;
  }
  let sum = 0;
  for (let rank = first; rank <= last; rank++) sum += sorted[rank]!;
  return sum / count;
}
