import type { Code, Local } from '../wasm/assembler.ts';
import { f32x4, f64x2, v128 } from '../wasm/simd.ts';
import { emitColumns, type ColumnRule } from './columns.ts';
import type { Region } from './layout.ts';
import { QUADS, type Halves, type TileFunction } from './values.ts';

/** One client's values; `operand` and `base` are indices into the kernel's operands. */
export interface Member {
  readonly operand: number;
  /** Whether they are differences from what the client started from. */
  readonly isDelta: boolean;
  /** What the client started from, when it was not this round's global parameters. */
  readonly base: number | null;
  /** Clipping: its difference from the start is multiplied by this. */
  readonly scale: number;
}

/**
 * What a custom rule computes for a run of coordinates: from one array per client (`values[k][i]`), and the global values, the
 * combined value `into[i]`. It may overwrite `values`.
 */
export type CustomCombine = (
  values: readonly Float32Array[],
  global: Float32Array,
  into: Float64Array,
  length: number,
) => void;

/** How the clients' values become one. */
export type Combine =
  /** `Σ coefficient·operand / divisor + globalCoefficient·global`. */
  | {
      readonly kind: 'linear';
      readonly terms: readonly { readonly operand: number; readonly coefficient: number }[];
      readonly divisor: number;
      readonly globalCoefficient: number;
    }
  | { readonly kind: 'columns'; readonly members: readonly Member[]; readonly rule: ColumnRule }
  /** Runs on the calling thread alone: functions do not travel to workers. */
  | { readonly kind: 'custom'; readonly members: readonly Member[]; readonly combine: CustomCombine };

/** The values of a turn: for each of its quads, four float64. */
export type Turn = readonly [Halves, Halves];

/** `into ← Σ coefficient·operand` in float64, in the order given. */
export function emitSum(
  tile: TileFunction,
  terms: readonly { readonly operand: number; readonly coefficient: number }[],
  into: Turn,
): Code {
  const value = tile.halves();
  const factor = tile.vector();
  // Two float32 make a product that float64 holds: fused or not, the sum has the same bits.
  const isExact = terms.every(({ coefficient }) => Math.fround(coefficient) === coefficient);
  const addProduct = isExact ? f64x2.relaxedMultiplyAdd : (a: Code, b: Code, c: Code): Code => f64x2.add(c, f64x2.multiply(a, b));
  return [
    ...into.flat().map((sum) => sum.set(v128.zero)),
    ...terms.flatMap(({ operand, coefficient }) => [
      factor.set(tile.constant(coefficient)),
      ...QUADS.flatMap((quad) => [
        tile.readHalves(tile.layout.operands[operand]!, quad, value),
        ...value.map((half, upper) => {
          const sum = into[quad][upper]!;
          return sum.set(addProduct(factor.get, half.get, sum.get));
        }),
      ]),
    ]),
  ].flat();
}

/** The combined values of a turn, in float64. `bad` gathers values of clients that are not finite, where they could get lost. */
export function emitCombine(tile: TileFunction, combine: Exclude<Combine, { kind: 'custom' }>, global: Turn, into: Turn, bad: Local): Code {
  if (combine.kind === 'linear') {
    // A product costs a quarter of a quotient; in float64 the difference is far below float32's last bit.
    const factor = tile.constant(1 / combine.divisor);
    const share = tile.constant(combine.globalCoefficient);
    const finish = QUADS.flatMap((quad) =>
      into[quad].map((sum, upper) => {
        const mean = f64x2.multiply(sum.get, factor);
        return sum.set(combine.globalCoefficient === 0 ? mean : f64x2.add(mean, f64x2.multiply(share, global[quad][upper]!.get)));
      }),
    );
    return [emitSum(tile, combine.terms, into), ...finish].flat();
  }
  const wires = combine.members.map(() => tile.vector());
  return QUADS.flatMap((quad) => [
    ...combine.members.flatMap((member, index) => [
      wires[index]!.set(readMember(tile, member, quad, global[quad])),
      // Sorting may cut away what is not finite: times 0 it is NaN, and stays.
      bad.set(f32x4.add(bad.get, f32x4.multiply(wires[index]!.get, v128.zero))),
    ]),
    emitColumns(tile, combine.rule, wires, into[quad]),
  ]).flat();
}

/** A member's weights as float32. */
export function readMember(tile: TileFunction, { operand, isDelta, base, scale }: Member, quad: number, global: Halves): Code {
  const region = tile.layout.operands[operand]!;
  if (!isDelta && base === null && scale === 1) return tile.read(region, quad);
  const value = tile.halves();
  const origin = base === null ? global : tile.halves();
  const moved = ([0, 1] as const).map((half) => {
    const step = isDelta ? value[half].get : f64x2.subtract(value[half].get, origin[half].get);
    return value[half].set(f64x2.add(global[half].get, f64x2.multiply(tile.constant(scale), step)));
  });
  return [
    tile.readHalves(region, quad, value),
    base === null ? [] : tile.readHalves(tile.layout.operands[base]!, quad, origin),
    ...moved,
    tile.demote(value),
  ].flat();
}

/** Reads the global values of a turn. */
export function emitGlobal(tile: TileFunction, region: Region, into: Turn): Code {
  return QUADS.flatMap((quad) => tile.readHalves(region, quad, into[quad]));
}
