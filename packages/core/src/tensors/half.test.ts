import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from './half.ts';

const bf16 = (...values: number[]): number[] => [...encodeBfloat16(Float32Array.from(values), new Uint16Array(values.length))];
const f16 = (...values: number[]): number[] => [...encodeFloat16(Float32Array.from(values), new Uint16Array(values.length))];

describe('bfloat16', () => {
  it('gives back every bit pattern that is not a NaN', () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, index) => index);
    const values = decodeBfloat16(bits, new Float32Array(bits.length));
    const back = encodeBfloat16(values, new Uint16Array(bits.length));
    expect(bits.filter((index) => !Number.isNaN(values[index]) && back[index] !== index)).toHaveLength(0);
  });

  it('rounds to nearest, ties to even', () => {
    expect(bf16(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20)).toEqual([0x3f80, 0x3f80, 0x3f82, 0x3f81]);
    expect(bf16(Infinity, -Infinity, -0, 3.4e38)).toEqual([0x7f80, 0xff80, 0x8000, 0x7f80]);
  });

  it('keeps a NaN whose payload lies in the lower bits', () => {
    const nan = new Float32Array(new Uint32Array([0x7f80_0001]).buffer);
    const [bits] = encodeBfloat16(nan, new Uint16Array(1));
    expect(decodeBfloat16(Uint16Array.of(bits!), new Float32Array(1))[0]).toBeNaN();
  });
});

describe('binary16', () => {
  it('gives back every bit pattern that is not a NaN', () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, index) => index);
    const values = decodeFloat16(bits, new Float32Array(bits.length));
    const back = encodeFloat16(values, new Uint16Array(bits.length));
    expect(bits.filter((index) => !Number.isNaN(values[index]) && back[index] !== index)).toHaveLength(0);
  });

  it('knows its landmarks', () => {
    expect(f16(1, -2, 65504, 65519, 65520, 2 ** -24, 2 ** -25, 2 ** -14, 1 + 2 ** -11, 1 + 3 * 2 ** -11, NaN)).toEqual([
      0x3c00, 0xc000, 0x7bff, 0x7bff, 0x7c00, 0x0001, 0x0000, 0x0400, 0x3c00, 0x3c02, 0x7e00,
    ]);
  });

  it('rounds to the nearest neighbour', () => {
    fc.assert(
      fc.property(fc.float({ min: -65504, max: 65504, noNaN: true }), (value) => {
        const [bits] = encodeFloat16(Float32Array.of(value), new Uint16Array(1));
        const near = [bits! - 1, bits!, bits! + 1].filter((candidate) => (candidate & 0x7fff) < 0x7c00 && candidate >= 0);
        const decoded = decodeFloat16(Uint16Array.from(near), new Float32Array(near.length));
        const own = decodeFloat16(Uint16Array.of(bits!), new Float32Array(1))[0]!;
        for (const other of decoded) expect(Math.abs(own - value)).toBeLessThanOrEqual(Math.abs(other - value));
      }),
    );
  });
});
