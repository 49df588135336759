import { readSegment, SEGMENT, type Block, type Scratch } from './block.ts';
import { squaredDistance } from './distances.ts';

/**
 * Reads one update beside the parameters it started from. Operands: the update, then (unless it is a delta) the base.
 */
export interface InspectSpec {
  readonly kind: 'inspect';
}

const ZEROS = new Float32Array(SEGMENT);

/** Returns `[index of the first value that is not finite in the block, or −1; Σ (update − base)²]`. */
export function inspectBlock(block: Block, buffer: ArrayBufferLike, scratch: Scratch): Float64Array {
  let firstBad = -1;
  let sumOfSquares = 0;
  const [update, base] = block.operands;
  for (let start = 0; start < block.length; start += SEGMENT) {
    const length = Math.min(SEGMENT, block.length - start);
    const values = readSegment(buffer, update!, start, length, scratch.float32(0));
    const sum = base === undefined
      ? squaredDistance(values, ZEROS, length)
      : squaredDistance(values, readSegment(buffer, base, start, length, scratch.float32(1)), length);
    // Squares of finite float32 values cannot overflow float64, so a sum that is not finite has a value that is not.
    if (sum - sum !== 0 && firstBad < 0) {
      const index = values.findIndex((value) => value - value !== 0);
      if (index >= 0) firstBad = start + index;
    }
    sumOfSquares += sum;
  }
  return Float64Array.of(firstBad, sumOfSquares);
}
