import { readSegment, SEGMENT, type Block, type Scratch } from './block.ts';
import { accumulate } from './linear.ts';

/** A weighted sum of all operands into one float32 result. */
export interface SumSpec {
  readonly kind: 'sum';
  /** One per operand. */
  readonly coefficients: readonly number[];
}

export function sumBlock(spec: SumSpec, block: Block, buffer: ArrayBufferLike, scratch: Scratch): Float64Array {
  const { begin } = block.results[0]!;
  for (let start = 0; start < block.length; start += SEGMENT) {
    const length = Math.min(SEGMENT, block.length - start);
    const arrays = block.operands.map((region, index) => readSegment(buffer, region, start, length, scratch.float32(index)));
    const sum = scratch.float64(0).fill(0, 0, length);
    accumulate(sum, arrays, spec.coefficients, length);
    new Float32Array(buffer, begin + start * 4, length).set(sum.subarray(0, length));
  }
  return new Float64Array();
}
