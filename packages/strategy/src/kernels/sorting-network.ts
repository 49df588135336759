/** A step of a sorting network: afterwards wire `low` holds the smaller values, `high` the larger. */
export type Comparator = readonly [low: number, high: number];

/** Which values of each sorted column somebody looks at. */
export interface WantedRanks {
  /** First wanted rank. */
  readonly from: number;
  /** One past the last wanted rank. */
  readonly to: number;
  /** Whether the wanted values must themselves be in order, or only be the right set. */
  readonly ordered: boolean;
}

/**
 * Batcher's odd–even merge sort for `count` wires (Knuth, TAOCP 3, 5.2.2 M), without the comparators that cannot change what
 * is wanted: a trimmed mean needs no order among the values that it keeps.
 */
export function sortingNetwork(count: number, wanted: WantedRanks): readonly Comparator[] {
  const steps = batcher(count);
  // Walking back from the outputs, a wire is unused, one of a set that is only summed, or needed exactly.
  const use: ('none' | 'set' | 'exact')[] = Array.from({ length: count }, (_, rank) =>
    rank < wanted.from || rank >= wanted.to ? 'none' : wanted.ordered ? 'exact' : 'set',
  );
  const kept: Comparator[] = [];
  for (const [low, high] of steps.toReversed()) {
    if (use[low] === use[high] && use[low] !== 'exact') continue;
    use[low] = 'exact';
    use[high] = 'exact';
    kept.push([low, high]);
  }
  return kept.reverse();
}

function batcher(count: number): Comparator[] {
  const steps: Comparator[] = [];
  for (let p = 1; p < count; p *= 2) {
    for (let k = p; k >= 1; k /= 2) {
      for (let j = k % p; j + k < count; j += 2 * k) {
        for (let i = 0; i < Math.min(k, count - j - k); i++) {
          const low = i + j;
          const high = low + k;
          if (Math.floor(low / (2 * p)) === Math.floor(high / (2 * p))) steps.push([low, high]);
        }
      }
    }
  }
  return steps;
}
