import { i32, whileBelow, type Local, type WasmFunction } from '../wasm/assembler.ts';
import { f64x2, v128 } from '../wasm/simd.ts';
import { turn } from './aggregate.ts';
import { emitGlobal, readMember, type Member } from './combine.ts';
import { LANES } from './lanes.ts';
import type { LayoutBuilder } from './layout.ts';
import { QUADS, STEP, TileFunction } from './values.ts';

/** Squared L2 distances between all clients. Operands: the global parameters, then what the members name. */
export interface DistancesSpec {
  readonly kind: 'distances';
  readonly members: readonly Member[];
}

/** Values of every client that are widened at a time, so that a pair's values are in the first-level cache. */
export const STRIP = 256;
const STRIP_BYTES = STRIP * 8;
/** From one client's strip to the next; not a power of two, so that they do not fall on the same cache lines. */
const STRIDE = STRIP_BYTES + 64;

/** Position of the pair `(row, column)`, `row < column`, in a list of the pairs of `count` members. */
export function pairIndex(row: number, column: number, count: number): number {
  return (row * (2 * count - row - 1)) / 2 + column - row - 1;
}

export interface DistancesKernel {
  /** Adds to {@link LANES} sums of each pair. The tile must be padded to a multiple of {@link STRIP}. */
  readonly run: WasmFunction;
  /** Where the pairs' sums are. */
  readonly sums: number;
}

/**
 * Squared distances of every pair. The differences are taken before they are squared: ‖x‖² + ‖y‖² − 2xy would lose them to
 * cancellation, for clients differ by far less than weights are large.
 */
export function buildDistances({ members }: DistancesSpec, layout: LayoutBuilder): DistancesKernel {
  const count = members.length;
  const strips = layout.placeArray(count * STRIDE);
  const sums = layout.place(((count * (count - 1)) / 2) * LANES * 8);
  const tile = new TileFunction(layout);
  const { builder, index } = tile;
  const [strip, row, column, pair, at] = Array.from({ length: 5 }, () => builder.local('i32')) as [Local, Local, Local, Local, Local];
  const end = builder.local('i32');
  const global = turn(tile);
  const value = tile.halves();
  const difference = tile.vector();
  const lanes = turn(tile).flat();

  const widen = members.flatMap((member, position) =>
    QUADS.flatMap((quad) => [
      ...tile.promote(readMember(tile, member, quad, global[quad]), value),
      ...value.flatMap((half, upper) =>
        v128.store(
          i32.shiftLeft(i32.subtract(index.get, strip.get), i32.constant(3)),
          strips + position * STRIDE + 32 * quad + 16 * upper,
          half.get,
        ),
      ),
    ]),
  );
  const addSquares = lanes.flatMap((lane, position) => [
    ...difference.set(
      f64x2.subtract(
        v128.load(i32.add(row.get, at.get), strips + 16 * position),
        v128.load(i32.add(column.get, at.get), strips + 16 * position),
      ),
    ),
    ...lane.set(f64x2.add(lane.get, f64x2.multiply(difference.get, difference.get))),
  ]);
  const onePair = [
    lanes.map((lane, position) => lane.set(v128.load(pair.get, sums + 16 * position))).flat(),
    at.set(i32.constant(0)),
    whileBelow(at, i32.constant(STRIP_BYTES), STEP * 8, addSquares),
    lanes.map((lane, position) => v128.store(pair.get, sums + 16 * position, lane.get)).flat(),
    pair.set(i32.add(pair.get, i32.constant(LANES * 8))),
  ].flat();
  const allPairs = [
    pair.set(i32.constant(0)),
    row.set(i32.constant(0)),
    whileBelow(
      row,
      i32.constant((count - 1) * STRIDE),
      STRIDE,
      column.set(i32.add(row.get, i32.constant(STRIDE))),
      whileBelow(column, i32.constant(count * STRIDE), STRIDE, onePair),
    ),
  ].flat();
  const run = tile.build(
    strip.set(i32.constant(0)),
    whileBelow(
      strip,
      tile.count,
      STRIP,
      index.set(strip.get),
      end.set(i32.add(strip.get, i32.constant(STRIP))),
      whileBelow(index, end.get, STEP, tile.address(), emitGlobal(tile, layout.operands[0]!, global), widen),
      allPairs,
    ),
  );
  return { run, sums };
}
