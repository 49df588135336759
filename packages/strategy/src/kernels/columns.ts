import type { Code, Local } from '../wasm/assembler.ts';
import { f32x4, f64x2, v128 } from '../wasm/simd.ts';
import { sortingNetwork } from './sorting-network.ts';
import type { Halves, TileFunction } from './values.ts';

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

/** Sorts four columns at a time and takes their statistic. The locals of `values` are used up; NaN must not occur. */
export function emitColumns(tile: TileFunction, rule: ColumnRule, values: readonly Local[], into: Halves): Code {
  const count = values.length;
  if (rule.kind === 'trimmed') {
    const { cut } = rule;
    const sorted = emitSort(tile, values, { from: cut, to: count - cut, ordered: false });
    const kept = sorted.wires.slice(cut, count - cut);
    return [sorted.code, emitMean(tile, kept, into, kept.length, () => null)].flat();
  }
  const { code, wires } = emitSort(tile, values, { from: 0, to: count, ordered: true });
  return [code, emitNearest(tile, wires, rule.count, into)].flat();
}

interface Sorted {
  readonly code: Code;
  /** By rank. */
  readonly wires: readonly Local[];
}

function emitSort(tile: TileFunction, values: readonly Local[], wanted: Parameters<typeof sortingNetwork>[1]): Sorted {
  const wires = [...values];
  let spare = tile.vector();
  const code = sortingNetwork(values.length, wanted).map(([low, high]) => {
    const a = wires[low]!;
    const b = wires[high]!;
    wires[low] = spare;
    spare = a;
    // Equal values stay where they are, so that of +0 and −0 none gets lost.
    return [...wires[low].set(f32x4.pmin(a.get, b.get)), ...b.set(f32x4.pmax(b.get, a.get))];
  });
  return { code: code.flat(), wires };
}

/** Mean of `count` of the values, summed in order; `mask` says for a half which lanes of a rank count (`null`: all). */
function emitMean(
  tile: TileFunction,
  wires: readonly Local[],
  into: Halves,
  count: number,
  mask: (rank: number, half: 0 | 1) => Code | null,
): Code {
  const value = tile.halves();
  const add = (rank: number, half: 0 | 1): Code => {
    const lanes = mask(rank, half);
    const term = lanes === null ? value[half].get : v128.and(value[half].get, lanes);
    return into[half].set(f64x2.add(into[half].get, term));
  };
  return [
    ...into.map((half) => half.set(v128.zero)),
    ...wires.flatMap((wire, rank) => [tile.promote(wire.get, value), add(rank, 0), add(rank, 1)]),
    ...into.map((half) => half.set(f64x2.divide(half.get, tile.constant(count)))),
  ].flat();
}

/**
 * Mean of the `count` values nearest the median of sorted ones. They are neighbours: going up from the lowest, a run of `count`
 * values is left for the next one while its first value is farther from the median than the value behind its end.
 */
function emitNearest(tile: TileFunction, sorted: readonly Local[], count: number, into: Halves): Code {
  if (count === sorted.length) return emitMean(tile, sorted, into, count, () => null);
  const reference = tile.halves();
  const lower = tile.halves();
  const upper = tile.halves();
  const upperRank = sorted.length >> 1;
  const isOdd = sorted.length % 2 === 1;
  const middle = ([0, 1] as const).map((half) => {
    const both = f64x2.add(lower[half].get, upper[half].get);
    return reference[half].set(isOdd ? upper[half].get : f64x2.divide(both, tile.constant(2)));
  });
  /** Whether the run that begins at a rank is left. */
  const leaves = Array.from({ length: sorted.length - count }, () => tile.halves());
  return [
    tile.promote(sorted[upperRank - (isOdd ? 0 : 1)]!.get, lower),
    tile.promote(sorted[upperRank]!.get, upper),
    ...middle,
    ...leaves.flatMap((leave, first) => [
      tile.promote(sorted[first]!.get, lower),
      tile.promote(sorted[first + count]!.get, upper),
      ...([0, 1] as const).map((half) => {
        const below = f64x2.subtract(reference[half].get, lower[half].get);
        return leave[half].set(f64x2.gt(below, f64x2.subtract(upper[half].get, reference[half].get)));
      }),
    ]),
    emitMean(tile, sorted, into, count, (rank, half) => {
      const reached = leaves[rank - count]?.[half].get;
      const left = leaves[rank]?.[half].get;
      if (reached === undefined) return left === undefined ? null : v128.andNot(tile.allOnes, left);
      return left === undefined ? reached : v128.andNot(reached, left);
    }),
  ].flat();
}
