import { readSegment, type Block, type Scratch } from './block.ts';
import { accumulate } from './linear.ts';

/** How the clients' values become one; `operand` is an index into the block's operands. */
export type Combine =
  /** `Σ coefficient·value / divisor + globalCoefficient·global`. */
  {
    readonly kind: 'linear';
    readonly terms: readonly { readonly operand: number; readonly coefficient: number }[];
    readonly divisor: number;
    readonly globalCoefficient: number;
  };

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
  const arrays = combine.terms.map(({ operand }, index) =>
    readSegment(buffer, block.operands[operand]!, start, length, scratch.float32(FIRST_SCRATCH + index)),
  );
  into.fill(0, 0, length);
  accumulate(into, arrays, combine.terms.map(({ coefficient }) => coefficient), length);
  const { divisor, globalCoefficient } = combine;
  if (globalCoefficient === 0) for (let index = 0; index < length; index++) into[index]! /= divisor;
  else for (let index = 0; index < length; index++) into[index] = into[index]! / divisor + globalCoefficient * global[index]!;
  return into;
}
