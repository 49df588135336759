import { deriveSeed, Random } from '@zk0/core';
import { readSegment, type Block, type Scratch } from './block.ts';
import { columnStatistic, type ColumnRule } from './columns.ts';
import { accumulate } from './linear.ts';

/** One client's values; `operand` and `base` are indices into the block's operands. */
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

/** Gaussian noise on the combined values. */
export interface Noise {
  /** Standard deviation. */
  readonly sigma: number;
  readonly seed: string;
}

/** Scratch arrays below this index belong to the aggregate kernel. */
const FIRST_SCRATCH = 8;

/** The combined values of a segment, in float64. The result is scratch memory. */
export function combineSegment(
  combine: Combine,
  block: Block,
  buffer: ArrayBufferLike,
  start: number,
  length: number,
  global: Float32Array,
  scratch: Scratch,
): Float64Array {
  const into = scratch.float64(0);
  switch (combine.kind) {
    case 'linear': {
      const arrays = combine.terms.map(({ operand }, index) =>
        readSegment(buffer, block.operands[operand]!, start, length, scratch.float32(FIRST_SCRATCH + index)),
      );
      into.fill(0, 0, length);
      accumulate(into, arrays, combine.terms.map(({ coefficient }) => coefficient), length);
      finishLinear(into, global, combine.divisor, combine.globalCoefficient, length);
      break;
    }
    case 'columns':
      columnStatistic(combine.rule, readMembers(combine.members, block, buffer, start, length, global, scratch), into, length);
      break;
    case 'custom':
      combine.combine(readMembers(combine.members, block, buffer, start, length, global, scratch), global, into, length);
  }
  return into;
}

/** Adds a segment's noise. Seeded by tensor and position, so that it depends neither on blocks nor on threads. */
export function addNoise({ sigma, seed }: Noise, tensor: string, element: number, values: Float64Array, length: number): void {
  const random = new Random(deriveSeed(seed, tensor, element));
  for (let index = 0; index < length; index++) values[index]! += sigma * random.normal();
}

/** The members' weights, one float32 array each. The arrays may be overwritten. */
export function readMembers(
  members: readonly Member[],
  block: Block,
  buffer: ArrayBufferLike,
  start: number,
  length: number,
  global: Float32Array,
  scratch: Scratch,
): Float32Array[] {
  return members.map(({ operand, isDelta, base, scale }, index) => {
    const own = scratch.float32(FIRST_SCRATCH + index);
    const values = readSegment(buffer, block.operands[operand]!, start, length, own);
    if (!isDelta && base === null && scale === 1) return values;
    const result = own.subarray(0, length);
    if (isDelta) {
      for (let at = 0; at < length; at++) result[at] = global[at]! + scale * values[at]!;
      return result;
    }
    const origin = base === null ? global : readSegment(buffer, block.operands[base]!, start, length, scratch.float32(7));
    for (let at = 0; at < length; at++) result[at] = global[at]! + scale * (values[at]! - origin[at]!);
    return result;
  });
}

function finishLinear(into: Float64Array, global: Float32Array, divisor: number, globalCoefficient: number, length: number): void {
  // A product costs a quarter of a quotient; in float64 the difference is far below float32's last bit.
  const factor = 1 / divisor;
  if (globalCoefficient === 0) {
    for (let index = 0; index < length; index++) into[index]! *= factor;
  } else {
    for (let index = 0; index < length; index++) into[index] = into[index]! * factor + globalCoefficient * global[index]!;
  }
}
