/**
 * 16-bit floats: bfloat16 (the upper half of a float32) and IEEE 754 binary16. Bits in and out, whole arrays at a time,
 * so that a tensor is converted piece by piece. Narrowing rounds to nearest, ties to even; NaN stays NaN.
 */

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** Widens bfloat16 bits to float32, exactly. `into` must be as long as `bits`. */
export function decodeBfloat16(bits: Uint16Array, into: Float32Array): Float32Array {
  const words = new Uint32Array(into.buffer, into.byteOffset, into.length);
  for (let index = 0; index < bits.length; index++) words[index] = bits[index]! << 16;
  return into;
}

/** Rounds float32 values to bfloat16 bits. `into` must be as long as `values`. */
export function encodeBfloat16(values: Float32Array, into: Uint16Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    const isNan = (word & 0x7fff_ffff) > 0x7f80_0000;
    // A NaN whose payload lies in the lower half alone would round to infinity: keep it quiet instead.
    into[index] = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return into;
}

/** One binary16 value as a number, exactly. */
export function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Widens binary16 bits to float32, exactly. `into` must be as long as `bits`. */
export function decodeFloat16(bits: Uint16Array, into: Float32Array): Float32Array {
  for (let index = 0; index < bits.length; index++) into[index] = float16ToNumber(bits[index]!);
  return into;
}

/** Rounds float32 values to binary16 bits; values beyond 65504 become infinite. `into` must be as long as `values`. */
export function encodeFloat16(values: Float32Array, into: Uint16Array): Uint16Array {
  for (let index = 0; index < values.length; index++) into[index] = float16Bits(values[index]!);
  return into;
}

function float16Bits(value: number): number {
  scratch[0] = value;
  const word = scratchBits[0]!;
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fff_ffff;
  if (magnitude > 0x7f80_0000) return sign | 0x7e00;
  // 65520 and above round to infinity.
  if (magnitude >= 0x477f_f000) return sign | 0x7c00;
  // Below 2^-14 a binary16 is a multiple of 2^-24.
  if (magnitude < 0x3880_0000) return sign | roundTiesToEven(Math.abs(value) * 2 ** 24);
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x3800_0000) >>> 13);
}

function roundTiesToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
