import { i32, type Code, type Local } from '../wasm/assembler.ts';
import { f32x4, f64x2, v128 } from '../wasm/simd.ts';
import type { Turn } from './combine.ts';
import type { LayoutBuilder } from './layout.ts';
import type { TileFunction } from './values.ts';

/** Sums side by side in a vectorised sum: value i of a tile goes to sum i mod 8. */
export const LANES = 8;

/** Where a function leaves its sum of squares: eight sums, and what tells that something was not finite. */
export class Lanes {
  readonly address: number;

  constructor(layout: LayoutBuilder) {
    this.address = layout.place((LANES + 2) * 8);
  }

  locals(tile: TileFunction): Turn {
    return [tile.halves(), tile.halves()];
  }

  begin(sums: Turn): Code {
    return sums.flat().flatMap((sum) => sum.set(v128.zero));
  }

  /** Goes on where another function ended. */
  resume(sums: Turn): Code {
    return sums.flat().flatMap((sum, index) => sum.set(v128.load(i32.constant(0), this.address + 16 * index)));
  }

  /** Lanes of `bad` that are NaN poison the first sum. */
  end(sums: Turn, bad: Local): Code {
    const [first, ...others] = sums.flat();
    const poisoned = f64x2.add(f64x2.add(first!.get, f64x2.promote(bad.get)), f64x2.promote(f32x4.high(bad.get)));
    return [poisoned, ...others.map((sum) => sum.get)].flatMap((value, index) =>
      v128.store(i32.constant(0), this.address + 16 * index, value),
    );
  }
}

/** Adds eight sums up, always in this order. */
export function addLanes(sums: Float64Array, at: number): number {
  const pair = (lane: number): number => sums[at + lane]! + sums[at + lane + 1]!;
  return pair(0) + pair(2) + (pair(4) + pair(6));
}
