import type { WasmFunction } from '../wasm/assembler.ts';
import { v128 } from '../wasm/simd.ts';
import { emitSquares } from './aggregate.ts';
import { Lanes } from './lanes.ts';
import type { LayoutBuilder } from './layout.ts';
import { QUADS, TileFunction } from './values.ts';

/**
 * Reads one update beside the parameters it started from. Operands: the update, then (unless it is a delta) the base.
 */
export interface InspectSpec {
  readonly kind: 'inspect';
}

export interface InspectKernel {
  readonly functions: Readonly<Record<'run' | 'widen', WasmFunction>>;
  readonly lanes: Lanes;
  /** Where `widen` leaves the update's values as float32. */
  readonly values: number;
}

/** `run` sums (update − base)²; `widen` shows the values, should that not be finite. */
export function buildInspect(layout: LayoutBuilder): InspectKernel {
  const lanes = new Lanes(layout);
  const values = layout.placeArray(layout.tile * 4);
  const [update, base] = layout.operands;

  const tile = new TileFunction(layout);
  const sums = lanes.locals(tile);
  const bad = tile.vector();
  const value = tile.halves();
  const origin = base === undefined ? null : tile.halves();
  const run = tile.build(
    lanes.begin(sums),
    bad.set(v128.zero),
    tile.forEach(
      QUADS.flatMap((quad) => [
        ...tile.readHalves(update!, quad, value),
        ...(base === undefined || origin === null ? [] : tile.readHalves(base, quad, origin)),
        ...emitSquares(value, origin, sums[quad]),
      ]),
    ),
    lanes.end(sums, bad),
  );

  const wide = new TileFunction(layout);
  const widen = wide.build(wide.forEach(QUADS.flatMap((quad) => wide.storeFloat32(values, quad, wide.read(update!, quad)))));
  return { functions: { run, widen }, lanes, values };
}
