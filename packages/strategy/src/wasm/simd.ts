/** WebAssembly's 128-bit vector instructions, named as in the specification. Addresses are given as index plus constant offset. */
import { unsigned, type Code } from './assembler.ts';

const simd = (opcode: number): Code => [0xfd, ...unsigned(opcode)];
const unary = (opcode: number) => (a: Code): Code => [...a, ...simd(opcode)];
const binary = (opcode: number) => (a: Code, b: Code): Code => [...a, ...b, ...simd(opcode)];
const shift = binary;
const load =
  (opcode: number) =>
  (index: Code, offset: number): Code => [...index, ...simd(opcode), 0, ...unsigned(offset)];

export const v128 = {
  load: load(0x00),
  /** Four unsigned 16-bit integers, widened to 32 bits. */
  load16x4U: load(0x04),
  /** Four bytes into the lowest lane, zeros above. */
  load32Zero: load(0x5c),
  /** Eight bytes into the lower half, zeros above. */
  load64Zero: load(0x5d),
  load32Splat: load(0x09),
  store: (index: Code, offset: number, value: Code): Code => [...index, ...value, ...simd(0x0b), 0, ...unsigned(offset)],
  /** Stores the lower eight bytes. */
  store64: (index: Code, offset: number, value: Code): Code => [...index, ...value, ...simd(0x5b), 0, ...unsigned(offset), 0],
  zero: [...simd(0x0c), ...new Array<number>(16).fill(0)] as Code,
  /** Lanes of 32 bits, all equal. */
  bits: (word: number): Code => [
    ...simd(0x0c),
    ...[0, 1, 2, 3].flatMap(() => [word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24]),
  ],
  and: binary(0x4e),
  /** `a & ~b`. */
  andNot: binary(0x4f),
  or: binary(0x50),
  /** Bits of `a` where `mask` is set, of `b` elsewhere. */
  select: (a: Code, b: Code, mask: Code): Code => [...a, ...b, ...mask, ...simd(0x52)],
};

export const i32x4 = {
  add: binary(0xae),
  subtract: binary(0xb1),
  shiftLeft: shift(0xab),
  shiftRightU: shift(0xad),
  gtS: binary(0x3b),
  ltS: binary(0x39),
  geS: binary(0x3f),
  /** The four lower 16-bit integers, widened with their sign. */
  extendLow16S: unary(0xa7),
  truncateF32: unary(0xf8),
};

export const i16x8 = {
  /** The eight lower bytes, widened with their sign. */
  extendLow8S: unary(0x87),
  /** Two vectors of 32-bit integers below 2^16 as one of 16-bit ones. */
  narrowU: binary(0x86),
};

export const f32x4 = {
  add: binary(0xe4),
  multiply: binary(0xe6),
  abs: unary(0xe0),
  nearest: unary(0x6a),
  /** `b < a ? b : a`. */
  pmin: binary(0xea),
  /** `a < b ? b : a`. */
  pmax: binary(0xeb),
  convertI32: unary(0xfa),
  /** Two float64 as float32 in the lower half, zeros above. */
  demote: unary(0x5e),
  /** The lower halves of two vectors, one after the other. */
  joinLow: (a: Code, b: Code): Code => [...a, ...b, ...simd(0x0d), 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23],
  /** The upper half of a vector as a lower one. */
  high: (a: Code): Code => [...a, ...a, ...simd(0x0d), 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31],
};

export const f64x2 = {
  /** `a·b + c`, rounded once or twice as the machine likes: only for products that are exact, where both come to the same. */
  relaxedMultiplyAdd: (a: Code, b: Code, c: Code): Code => [...a, ...b, ...c, ...simd(0x107)],
  add: binary(0xf0),
  subtract: binary(0xf1),
  multiply: binary(0xf2),
  divide: binary(0xf3),
  sqrt: unary(0xef),
  lt: binary(0x49),
  gt: binary(0x4a),
  /** Two float32 of the lower half, exactly. */
  promote: unary(0x5f),
};
