import { BLOCK } from './container.ts';

/** Largest finite float32. */
const MAX_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/**
 * Rounds values to whole multiples of a scale that each {@link BLOCK} of them shares.
 *
 * A block's scale is the least float32 `s` at or above `max|x| / levels` with `levels · s ≥ max|x|`, or 0 for a block of zeros; a code is
 * `x / s` in float64, rounded to the nearest whole number, halves away from zero. So no code is cut off, and a value is off by half a
 * scale at most, before the product is rounded to float32.
 *
 * @param codes as many as values.
 * @param scales one for each block.
 * @returns -1, or the index of the first value that is not finite or too large.
 */
export function quantise(values: Float32Array, levels: number, codes: Int8Array, scales: Float32Array): number {
  for (let block = 0, begin = 0; begin < values.length; block++, begin += BLOCK) {
    const end = Math.min(values.length, begin + BLOCK);
    let max = 0;
    for (let index = begin; index < end; index++) {
      const magnitude = Math.abs(values[index]!);
      if (!(magnitude <= MAX_FLOAT32)) return index;
      if (magnitude > max) max = magnitude;
    }
    const scale = scaleOf(max, levels);
    if (levels * scale > MAX_FLOAT32) return begin;
    scales[block] = scale;
    if (scale === 0) {
      codes.fill(0, begin, end);
      continue;
    }
    for (let index = begin; index < end; index++) {
      const quotient = values[index]! / scale;
      // Whole numbers are cut towards zero.
      codes[index] = quotient < 0 ? quotient - 0.5 : quotient + 0.5;
    }
  }
  return -1;
}

function scaleOf(max: number, levels: number): number {
  scratch[0] = max / levels;
  // The next float32, which for positive numbers has the next bits.
  if (scratch[0] * levels < max) scratchBits[0] = scratchBits[0]! + 1;
  return scratch[0];
}

/**
 * `code · scale` in float32 arithmetic: the product is exact in float64 and rounded once.
 *
 * @param first position of the first code in its tensor; `scales` begin with the scale of that position's block.
 */
export function dequantise(codes: Int8Array, first: number, scales: Float32Array, values: Float32Array): void {
  const offset = first % BLOCK;
  for (let index = 0; index < values.length;) {
    const block = Math.floor((offset + index) / BLOCK);
    const end = Math.min(values.length, (block + 1) * BLOCK - offset);
    const scale = scales[block]!;
    for (; index < end; index++) values[index] = codes[index]! * scale;
  }
}

/** Two codes a byte, the first in the lower half; the half that an odd number leaves over is 0. */
export function packNibbles(codes: Int8Array, into: Uint8Array): void {
  for (let index = 0; index < codes.length; index += 2) {
    into[index >> 1] = (codes[index]! & 0xf) | (((codes[index + 1] ?? 0) & 0xf) << 4);
  }
}

/** The codes from position `skip` (0 or 1) of the bytes on. */
export function unpackNibbles(bytes: Uint8Array, skip: number, codes: Int8Array): void {
  for (let index = 0; index < codes.length; index++) {
    const at = index + skip;
    const nibble = (at & 1) === 0 ? bytes[at >> 1]! << 4 : bytes[at >> 1]!;
    // The upper half of an int8, with its sign.
    codes[index] = (nibble << 24) >> 28;
  }
}
