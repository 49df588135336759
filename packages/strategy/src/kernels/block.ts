import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from '@zk0/core';
import { INT8_BLOCK, type AveragedDtype, type StoredDtype } from '../engine/operands.ts';

/**
 * Values that kernels work on at a time. Small enough that a float64 accumulator stays in the first-level cache; fixed,
 * because sums are formed per segment and noise is drawn per segment: it is part of what defines the result's bits.
 */
export const SEGMENT = 4096;

/** Where an operand or result lies in a block's buffer. */
export interface Region {
  readonly dtype: StoredDtype;
  readonly begin: number;
  /** I8 only: where its scales begin. */
  readonly scaleBegin: number;
}

/** A run of one tensor's elements with everything that is read and written for it. */
export interface Block {
  readonly tensor: string;
  /** First element; a multiple of {@link SEGMENT}. */
  readonly offset: number;
  readonly length: number;
  readonly operands: readonly Region[];
  readonly results: readonly (Region & { readonly dtype: AveragedDtype })[];
}

/** Scratch arrays of one thread, reused from block to block. */
export class Scratch {
  readonly #float32: Float32Array[] = [];
  readonly #float64: Float64Array[] = [];

  /** A segment-sized float32 array; the same index gives the same memory. */
  float32(index: number): Float32Array {
    return (this.#float32[index] ??= new Float32Array(SEGMENT));
  }

  /** A segment-sized float64 array; the same index gives the same memory. */
  float64(index: number): Float64Array {
    return (this.#float64[index] ??= new Float64Array(SEGMENT));
  }
}

/**
 * `length` values of a region from element `start` on: a view where they are float32 already, else decoded into `into`.
 */
export function readSegment(
  buffer: ArrayBufferLike,
  region: Region,
  start: number,
  length: number,
  into: Float32Array,
): Float32Array {
  switch (region.dtype) {
    case 'F32':
      return new Float32Array(buffer, region.begin + start * 4, length);
    case 'BF16':
      return decodeBfloat16(new Uint16Array(buffer, region.begin + start * 2, length), into.subarray(0, length));
    case 'F16':
      return decodeFloat16(new Uint16Array(buffer, region.begin + start * 2, length), into.subarray(0, length));
    case 'I8': {
      const values = new Int8Array(buffer, region.begin + start, length);
      const scales = new Float32Array(buffer, region.scaleBegin + (start / INT8_BLOCK) * 4, Math.ceil(length / INT8_BLOCK));
      for (let index = 0; index < length; index++) into[index] = values[index]! * scales[(index / INT8_BLOCK) | 0]!;
      return into.subarray(0, length);
    }
  }
}

/** Where to compute `length` float32 values of a result: in place where it is float32, else in `scratch`. */
export function resultSegment(
  buffer: ArrayBufferLike,
  region: Region,
  start: number,
  length: number,
  scratch: Float32Array,
): Float32Array {
  return region.dtype === 'F32' ? new Float32Array(buffer, region.begin + start * 4, length) : scratch.subarray(0, length);
}

/** Rounds a segment that was computed in scratch to the result's own element type. */
export function storeSegment(buffer: ArrayBufferLike, region: Region, start: number, values: Float32Array): void {
  if (region.dtype === 'F32') return;
  const bits = new Uint16Array(buffer, region.begin + start * 2, values.length);
  if (region.dtype === 'BF16') encodeBfloat16(values, bits);
  else encodeFloat16(values, bits);
}
