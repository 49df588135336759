import { BLOCK, COARSE_BLOCK, LEVELS, TRITS } from './container.ts';

/** Largest finite float32. */
export const MAX_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

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

/** Of the mean magnitude of a block: what is smaller becomes 0. Li, Zhang and Liu, Ternary Weight Networks (arXiv 1605.04711). */
const THRESHOLD = 0.7;

/**
 * Rounds values to −1, 0 or 1 times a scale that each {@link BLOCK} of them shares.
 *
 * A code is 0 where `|x| < 0.7 · m`, with the mean magnitude `m` of the block, else the sign of `x`. The scale is the mean magnitude of
 * those that are not 0, rounded to float32. Sums and products are float64, from the first value to the last.
 *
 * @param codes as many as values.
 * @param scales one for each block.
 * @returns -1, or the index of the first value that is not finite.
 */
export function ternarise(values: Float32Array, codes: Int8Array, scales: Float32Array): number {
  for (let block = 0, begin = 0; begin < values.length; block++, begin += BLOCK) {
    const end = Math.min(values.length, begin + BLOCK);
    let sum = 0;
    for (let index = begin; index < end; index++) {
      const magnitude = Math.abs(values[index]!);
      if (!(magnitude <= MAX_FLOAT32)) return index;
      sum += magnitude;
    }
    const threshold = (THRESHOLD * sum) / (end - begin);
    let [kept, total] = [0, 0];
    for (let index = begin; index < end; index++) {
      const value = values[index]!;
      const magnitude = Math.abs(value);
      const isKept = magnitude >= threshold && magnitude > 0;
      codes[index] = isKept ? Math.sign(value) : 0;
      if (!isKept) continue;
      kept++;
      total += magnitude;
    }
    scales[block] = kept === 0 ? 0 : total / kept;
  }
  return -1;
}

/** Values and their codes: what their scale follows from. */
export interface CodeFit {
  /** `Σ x · multiple`. */
  products: number;
  /** `Σ multiple²`. */
  squares: number;
}

/**
 * Rounds values to whole multiples of a coarse step, so that most codes are −1, 0 or 1.
 *
 * A value's multiple is `code · 2^exponent` with a code of −7 to 7, and an exponent that each {@link COARSE_BLOCK} of values shares: 0, or the
 * least with which its largest value is at most 7.5 such steps, so that no code is cut off. The code is `x / (step · 2^exponent)`, rounded to
 * the nearest whole number, halves away from zero. All is float64.
 *
 * @param step finite; 0 makes all codes 0.
 * @param codes as many as values.
 * @param exponents one for each block.
 * @param fit is added to, from the first value to the last.
 */
export function roundToSteps(values: Float64Array, step: number, codes: Int8Array, exponents: Uint8Array, fit: CodeFit): void {
  for (let block = 0, begin = 0; begin < values.length; block++, begin += COARSE_BLOCK) {
    const end = Math.min(values.length, begin + COARSE_BLOCK);
    let max = 0;
    for (let index = begin; index < end; index++) max = Math.max(max, Math.abs(values[index]!));
    let [exponent, multiple] = [0, 1];
    while (max > (LEVELS.compressed + 0.5) * step * multiple && step > 0) [exponent, multiple] = [exponent + 1, 2 * multiple];
    exponents[block] = exponent;
    const size = step * multiple;
    for (let index = begin; index < end; index++) {
      const quotient = size > 0 ? values[index]! / size : 0;
      // Whole numbers are cut towards zero. At 7.5 steps exactly the code is 7.
      const code = Math.trunc(quotient < 0 ? Math.max(quotient - 0.5, -LEVELS.compressed) : Math.min(quotient + 0.5, LEVELS.compressed));
      codes[index] = code;
      fit.products += values[index]! * code * multiple;
      fit.squares += (code * multiple) ** 2;
    }
  }
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
  eachBlock(first, values.length, BLOCK, (block, begin, end) => {
    const scale = scales[block]!;
    for (let index = begin; index < end; index++) values[index] = codes[index]! * scale;
  });
}

/**
 * Adds `code · 2^exponent · scale`. Products are exact in float64, but for those beyond it.
 *
 * @param first position of the first code in its piece; `exponents` are those of the piece.
 */
export function addSteps(codes: Int8Array, first: number, exponents: Uint8Array, scale: number, sums: Float64Array): void {
  const skipped = Math.floor(first / COARSE_BLOCK);
  eachBlock(first, sums.length, COARSE_BLOCK, (block, begin, end) => {
    const step = scale * 2 ** exponents[skipped + block]!;
    for (let index = begin; index < end; index++) sums[index]! += codes[index]! * step;
  });
}

/** Calls for each block that `count` values from position `first` on lie in, with the range of them that do. */
function eachBlock(first: number, count: number, size: number, take: (block: number, begin: number, end: number) => void): void {
  const offset = first % size;
  for (let begin = 0; begin < count;) {
    const block = Math.floor((offset + begin) / size);
    const end = Math.min(count, (block + 1) * size - offset);
    take(block, begin, end);
    begin = end;
  }
}

/** Two codes a byte, the first in the lower half; the half that an odd number leaves over is 0. */
export function packNibbles(codes: Int8Array, into: Uint8Array): void {
  for (let index = 0; index < codes.length; index += 2) {
    into[index >> 1] = (codes[index]! & 0xf) | (((codes[index + 1] ?? 0) & 0xf) << 4);
  }
}

/** The codes from position `skip` of the bytes on. */
export function unpackNibbles(bytes: Uint8Array, skip: number, codes: Int8Array): void {
  for (let index = 0; index < codes.length; index++) {
    const at = index + skip;
    const nibble = (at & 1) === 0 ? bytes[at >> 1]! << 4 : bytes[at >> 1]!;
    // The upper half of an int8, with its sign.
    codes[index] = (nibble << 24) >> 28;
  }
}

/** Five codes a byte, `Σ (code + 1) · 3ⁱ`; each block begins with a byte of its own, and what its last byte has no codes for is 0. */
export function packTrits(codes: Int8Array, into: Uint8Array): void {
  let byte = 0;
  for (let begin = 0; begin < codes.length; begin += BLOCK) {
    const blockEnd = Math.min(codes.length, begin + BLOCK);
    for (let first = begin; first < blockEnd; first += TRITS) {
      let number = 0;
      for (let index = Math.min(blockEnd, first + TRITS) - 1; index >= first; index--) number = 3 * number + codes[index]! + 1;
      into[byte++] = number;
    }
  }
}

/**
 * The codes from position `skip` of the first block on.
 *
 * @param bytes whole blocks.
 * @returns the index of the first byte that no codes make, or -1.
 */
export function unpackTrits(bytes: Uint8Array, skip: number, codes: Int8Array): number {
  const bad = bytes.findIndex((byte) => byte >= 3 ** TRITS);
  if (bad >= 0) return bad;
  const blockBytes = Math.ceil(BLOCK / TRITS);
  for (let index = 0; index < codes.length; index++) {
    const at = (skip + index) % BLOCK;
    const byte = bytes[Math.floor((skip + index) / BLOCK) * blockBytes + Math.floor(at / TRITS)]!;
    codes[index] = DIGITS[byte * TRITS + (at % TRITS)]!;
  }
  return -1;
}

/** The codes of each byte, one byte's after the other's. */
const DIGITS = Int8Array.from({ length: 3 ** TRITS * TRITS }, (_, at) => (Math.floor(Math.floor(at / TRITS) / 3 ** (at % TRITS)) % 3) - 1);
