import { readSegment, SEGMENT, type Block, type Scratch } from './block.ts';
import { readMembers, type Member } from './combine.ts';

/** Squared L2 distances between all clients. Operands: the global parameters, then what the members name. */
export interface DistancesSpec {
  readonly kind: 'distances';
  readonly members: readonly Member[];
}

/** Position of the pair `(row, column)`, `row < column`, in a list of the pairs of `count` members. */
export function pairIndex(row: number, column: number, count: number): number {
  return (row * (2 * count - row - 1)) / 2 + column - row - 1;
}

/**
 * Returns a block's part of the squared distance of every pair. The differences are taken before they are squared:
 * ‖x‖² + ‖y‖² − 2xy would lose them to cancellation, for clients differ by far less than weights are large.
 */
export function distancesBlock(spec: DistancesSpec, block: Block, buffer: ArrayBufferLike, scratch: Scratch): Float64Array {
  const count = spec.members.length;
  const sums = new Float64Array((count * (count - 1)) / 2);
  for (let start = 0; start < block.length; start += SEGMENT) {
    const length = Math.min(SEGMENT, block.length - start);
    const global = readSegment(buffer, block.operands[0]!, start, length, scratch.float32(0));
    const values = readMembers(spec.members, block, buffer, start, length, global, scratch);
    let pair = 0;
    for (let row = 0; row < count; row++) {
      for (let column = row + 1; column < count; column++) sums[pair++]! += squaredDistance(values[row]!, values[column]!, length);
    }
  }
  return sums;
}

/** Σ (a − b)² in float64; four sums side by side, so that additions need not wait for one another. */
export function squaredDistance(a: Float32Array | Float64Array, b: Float32Array | Float64Array, length: number): number {
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    const d0 = a[i]! - b[i]!;
    const d1 = a[i + 1]! - b[i + 1]!;
    const d2 = a[i + 2]! - b[i + 2]!;
    const d3 = a[i + 3]! - b[i + 3]!;
    sum0 += d0 * d0;
    sum1 += d1 * d1;
    sum2 += d2 * d2;
    sum3 += d3 * d3;
  }
  for (; i < length; i++) {
    const d = a[i]! - b[i]!;
    sum0 += d * d;
  }
  return sum0 + sum1 + (sum2 + sum3);
}
