import type { Code, Local, WasmFunction } from '../wasm/assembler.ts';
import { f32x4, f64x2, i32x4, v128 } from '../wasm/simd.ts';
import { emitCombine, emitGlobal, emitSum, readMember, type Combine, type Turn } from './combine.ts';
import type { LayoutBuilder } from './layout.ts';
import { emitStep, OPTIMIZER_STATE, type OptimizerStep } from './optimizers.ts';
import { Lanes } from './lanes.ts';
import { QUADS, TileFunction, type Halves } from './values.ts';

/** Gaussian noise on the combined values. */
export interface Noise {
  /** Standard deviation. */
  readonly sigma: number;
  /** The round's key; every tensor has one of its own made from it. */
  readonly key: Uint8Array;
}

/**
 * The last pass of every strategy: combine the clients' values, then take the server optimiser's step.
 *
 * Operands: the global parameters, the optimiser's state (when there is one yet), then what `combine` names.
 * Results: the new parameters, then the optimiser's new state.
 */
export interface AggregateSpec {
  readonly kind: 'aggregate';
  readonly combine: Combine;
  /** Added to the combined values, before the optimiser sees them. */
  readonly noise: Noise | null;
  readonly optimizer: OptimizerStep;
  /** State operands that are there: 0 in the first round. */
  readonly stateCount: number;
}

/** A weighted sum of all operands into one float32 result. */
export interface SumSpec {
  readonly kind: 'sum';
  /** One per operand. */
  readonly coefficients: readonly number[];
}

/** What is computed between the two halves of an aggregation, outside of them, from and into these arrays of a tile. */
export interface Intermediate {
  /** Float64: the combined values. */
  readonly combined: number;
  /** Float32, for a custom rule: the global values, then each member's. */
  readonly values: readonly number[];
}

/** The functions of an aggregation: `run` in one go, or `combine` and `finish` with something to be done between them. */
export interface AggregateKernel {
  readonly functions: Readonly<Record<string, WasmFunction>>;
  readonly lanes: Lanes;
  readonly intermediate: Intermediate | null;
}

export function buildAggregate(spec: AggregateSpec, layout: LayoutBuilder): AggregateKernel {
  const lanes = new Lanes(layout);
  const { combine } = spec;
  if (combine.kind !== 'custom' && spec.noise === null) {
    const tile = new TileFunction(layout);
    const [global, combined] = [turn(tile), turn(tile)];
    const sums = lanes.locals(tile);
    const bad = tile.vector();
    const body = [emitCombine(tile, combine, global, combined, bad), emitFinish(tile, spec, global, combined, sums, bad)].flat();
    const run = tile.build(
      lanes.begin(sums),
      bad.set(v128.zero),
      tile.forEach(emitGlobal(tile, layout.operands[0]!, global), body),
      lanes.end(sums, bad),
    );
    return { functions: { run }, lanes, intermediate: null };
  }
  const intermediate: Intermediate = {
    combined: layout.placeArray(layout.tile * 8),
    values: combine.kind === 'custom' ? [null, ...combine.members].map(() => layout.placeArray(layout.tile * 4)) : [],
  };
  const functions = { combine: combineFunction(spec, layout, lanes, intermediate), finish: finishFunction(spec, layout, lanes, intermediate) };
  return { functions, lanes, intermediate };
}

/** Leaves a turn's combined values in memory; for a custom rule, what it works on. */
function combineFunction({ combine }: AggregateSpec, layout: LayoutBuilder, lanes: Lanes, { combined, values }: Intermediate): WasmFunction {
  const tile = new TileFunction(layout);
  const global = turn(tile);
  const bad = tile.vector();
  const sums = lanes.locals(tile);
  const into = turn(tile);
  let body: Code;
  if (combine.kind === 'custom') {
    const value = tile.vector();
    body = QUADS.flatMap((quad) => [
      tile.storeFloat32(values[0]!, quad, tile.demote(global[quad])),
      ...combine.members.flatMap((member, index) => [
        value.set(readMember(tile, member, quad, global[quad])),
        bad.set(f32x4.add(bad.get, f32x4.multiply(value.get, v128.zero))),
        tile.storeFloat32(values[index + 1]!, quad, value.get),
      ]),
    ]).flat();
  } else {
    const store = QUADS.flatMap((quad) => tile.storeFloat64(combined, quad, into[quad]));
    body = [emitCombine(tile, combine, global, into, bad), store].flat();
  }
  return tile.build(
    lanes.begin(sums),
    bad.set(v128.zero),
    tile.forEach(emitGlobal(tile, layout.operands[0]!, global), body),
    lanes.end(sums, bad),
  );
}

/** Goes on from the combined values in memory. */
function finishFunction(spec: AggregateSpec, layout: LayoutBuilder, lanes: Lanes, { combined }: Intermediate): WasmFunction {
  const tile = new TileFunction(layout);
  const [global, into] = [turn(tile), turn(tile)];
  const sums = lanes.locals(tile);
  const bad = tile.vector();
  return tile.build(
    lanes.resume(sums),
    bad.set(v128.zero),
    tile.forEach(
      emitGlobal(tile, layout.operands[0]!, global),
      QUADS.flatMap((quad) => tile.loadFloat64(combined, quad, into[quad])),
      emitFinish(tile, spec, global, into, sums, bad),
    ),
    lanes.end(sums, bad),
  );
}

/** The optimiser's step, the results, and the squares of what changed. */
function emitFinish(tile: TileFunction, spec: AggregateSpec, global: Turn, combined: Turn, sums: Turn, bad: Local): Code {
  const { optimizer, stateCount } = spec;
  const { operands, results } = tile.layout;
  const [parameters, ...stateResults] = results;
  const states = OPTIMIZER_STATE[optimizer.kind].map(() => tile.halves());
  const rounded = tile.vector();
  const value = tile.halves();
  return QUADS.flatMap((quad) => [
    ...states.flatMap((halves, index) => (stateCount === 0 ? [] : tile.readHalves(operands[1 + index]!, quad, halves))),
    ...([0, 1] as const).flatMap((half) =>
      emitStep(tile, optimizer, combined[quad][half], global[quad][half], states.map((halves) => halves[half]), stateCount === 0),
    ),
    ...states.flatMap((halves, index) => [
      ...rounded.set(tile.demote(halves)),
      ...tile.write(stateResults[index]!, quad, rounded),
      // A second moment that is infinite stays so: its coordinate would never move again, and its parameter would look sound.
      ...bad.set(f32x4.add(bad.get, f32x4.multiply(rounded.get, v128.zero))),
    ]),
    ...rounded.set(tile.demote(combined[quad])),
    ...tile.write(parameters!, quad, rounded),
    // Beyond its largest number a float16 is infinite.
    ...(parameters!.dtype === 'F16' ? bad.set(v128.or(bad.get, i32x4.geS(v128.and(rounded.get, v128.bits(0x7fff_ffff)), v128.bits(0x477f_f000)))) : []),
    ...tile.promote(rounded.get, value),
    ...emitSquares(value, global[quad], sums[quad]),
  ]);
}

/** `sums += (a − b)²`; `a` is overwritten. */
export function emitSquares(a: Halves, b: Halves | null, sums: Halves): Code {
  return ([0, 1] as const).flatMap((half) => {
    const value = a[half];
    return [
      ...(b === null ? [] : value.set(f64x2.subtract(value.get, b[half].get))),
      ...sums[half].set(f64x2.add(sums[half].get, f64x2.multiply(value.get, value.get))),
    ];
  });
}

export function buildSum({ coefficients }: SumSpec, layout: LayoutBuilder): WasmFunction {
  const tile = new TileFunction(layout);
  const sum = turn(tile);
  const rounded = tile.vector();
  const store = QUADS.flatMap((quad) => [...rounded.set(tile.demote(sum[quad])), ...tile.write(layout.results[0]!, quad, rounded)]);
  return tile.build(tile.forEach(emitSum(tile, coefficients.map((coefficient, operand) => ({ operand, coefficient })), sum), store));
}

export function turn(tile: TileFunction): Turn {
  return [tile.halves(), tile.halves()];
}
