import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { decodeSafetensors, encodeSafetensors, MemoryTensorSource, Random, type Parameters, type TensorBytes, type TensorSource } from '@zk0/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { appliedTo, bytesPerValue, decodeUpdate, encodeUpdate, encodingOf, UpdateCodecError, type DecodedUpdate, type EncodedUpdate, type PackedEncoding } from './index.ts';

const BASE = 'b'.repeat(64);
const ENCODINGS: readonly PackedEncoding[] = ['bfloat16', 'int8', 'int4', 'ternary', 'compressed', 'delta'];
const ROUNDED = ['bfloat16', 'int8', 'int4', 'ternary', 'compressed'] as const;

type Values = readonly number[] | Float32Array;
const source = (tensors: Readonly<Record<string, Values>>): MemoryTensorSource =>
  MemoryTensorSource.fromParameters(new Map(Object.entries(tensors).map(([name, values]) => [name, { shape: [values.length], data: Float32Array.from(values) }])) satisfies Parameters);
const vector = (values: Values): MemoryTensorSource => source({ w: values });
const zeros = (count: number): MemoryTensorSource => vector(new Float32Array(count));

async function valuesOf(from: TensorSource, name = 'w'): Promise<Float32Array> {
  const spec = from.specs.find((one) => one.name === name)!;
  const values = new Float32Array(spec.shape.reduce((product, size) => product * size, 1));
  await from.readBytes(name, 0, new Uint8Array(values.buffer));
  return values;
}

const encode = (encoding: PackedEncoding, update: TensorSource, base: TensorSource, residual: TensorSource | null = null): Promise<EncodedUpdate> =>
  encodeUpdate(update, { encoding, base, baseHash: BASE, residual });
const decode = (encoding: PackedEncoding, { tensors, metadata }: Pick<EncodedUpdate, 'tensors' | 'metadata'>, base: TensorSource): DecodedUpdate => {
  // As it comes from a file.
  const file = decodeSafetensors(encodeSafetensors(tensors, metadata));
  return decodeUpdate(new MemoryTensorSource(file.tensors), file.metadata, { encoding, base, baseHash: BASE });
};
const bytes = ({ tensors }: EncodedUpdate, name: string): number[] => [...tensors.find((tensor) => tensor.name === name)!.data];
const floats = (update: EncodedUpdate, name: string): number[] => [...new Float32Array(Uint8Array.from(bytes(update, name)).buffer)];
/** The exponents and codes of a piece of `compressed`. */
const compressedPiece = (update: EncodedUpdate, piece: number, values: number): Uint8Array => {
  const sizes = new Uint32Array(Uint8Array.from(bytes(update, 'sizes/w')).buffer);
  const begin = sizes.subarray(0, 1 + piece).reduce((sum, size) => sum + size, 0);
  const sent = Uint8Array.from(bytes(update, 'values/w')).subarray(begin, begin + sizes[1 + piece]!);
  return sent.length === Math.ceil(values / 256) + Math.ceil(values / 2) ? sent : zstdDecompressSync(sent);
};
const matrix = (rows: number, columns: number, data: Float32Array = new Float32Array(rows * columns)): MemoryTensorSource => MemoryTensorSource.fromParameters(new Map([['w', { shape: [rows, columns], data }]]));
const rootSquares = (values: Float32Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
const sameBits = (a: ArrayBufferView, b: ArrayBufferView): boolean => Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
/** Values of a block that follow those given. */
const padded = (...values: number[]): number[] => [...values, ...Array<number>(128 - values.length).fill(0)];
const TINY = 2 ** -149;

describe('golden vectors', () => {
  it('int8: the scale is the largest by 127, halves go away from zero, each block has its own', async () => {
    const update = await encode('int8', vector([...padded(127, -127, 1, 0.5, -0.5, 0.49, -1.5), 254, -2]), zeros(130));
    expect(bytes(update, 'values/w').slice(0, 8)).toEqual([127, 129, 1, 1, 255, 0, 254, 0]);
    expect(bytes(update, 'values/w').slice(128)).toEqual([127, 255]);
    expect(floats(update, 'scales/w')).toEqual([1, 2]);
    expect((await valuesOf(decode('int8', update, zeros(130)).tensors)).slice(126)).toEqual(Float32Array.of(0, 0, 254, -2));
  });

  it('int8: takes the next float32 where 127 scales would not reach the largest', async () => {
    const update = await encode('int8', vector([1, -1]), zeros(2));
    const [scale] = floats(update, 'scales/w');
    expect(scale! * 127).toBeGreaterThanOrEqual(1);
    expect(Math.fround(scale! * (1 - 2 ** -24)) * 127).toBeLessThan(1);
    expect(bytes(update, 'values/w')).toEqual([127, 129]);
  });

  it('int4: two codes a byte, the first in the lower half, an odd number ends in a half byte', async () => {
    const update = await encode('int4', vector([7, -7, 3.5, -3.5, 0.49]), zeros(5));
    expect(bytes(update, 'values/w')).toEqual([0x97, 0xc4, 0x00]);
    expect(floats(update, 'scales/w')).toEqual([1]);
    expect(await valuesOf(decode('int4', update, zeros(5)).tensors)).toEqual(Float32Array.of(7, -7, 4, -4, 0));
  });

  it('ternary: what is below 0.7 of the mean magnitude is 0, the others are their mean; five codes a byte, blocks begin anew', async () => {
    const values = [4, -2, 0.5, 0, 1.75, -2.25];
    // The mean of the 128 is 10.5 / 128: all but 0 are above 0.7 of it.
    const update = await encode('ternary', vector([...padded(...values), 3, -1, 0]), zeros(131));
    expect(bytes(update, 'values/w')).toEqual([2 + 0 * 3 + 2 * 9 + 1 * 27 + 2 * 81, 0 + 1 * 3 + 1 * 9 + 1 * 27 + 1 * 81, ...Array<number>(23).fill(121), 1 + 1 * 3 + 1 * 9, 2 + 0 * 3 + 1 * 9]);
    expect(floats(update, 'scales/w')).toEqual([Math.fround(10.5 / 5), 2]);
    const decoded = await valuesOf(decode('ternary', update, zeros(131)).tensors);
    expect(decoded.slice(0, 6)).toEqual(Float32Array.of(2.1, -2.1, 2.1, 0, 2.1, -2.1));
    expect(decoded.slice(127)).toEqual(Float32Array.of(0, 2, -2, 0));
    // The threshold of a block is of that block: 0.7 · 4/3 = 0.93.
    expect(await valuesOf(decode('ternary', await encode('ternary', vector([2.1, 0.9, -1]), zeros(3)), zeros(3)).tensors)).toEqual(Float32Array.of(1.55, 0, -1.55));
  });

  it('compressed: one step for a tensor, codes of −7 to 7 times powers of two of it, one scale that fits best', async () => {
    // Few values take few bits with any step, so it is the finest, 2^-24 of the root of the mean square; powers of two make the codes 7 at most.
    const far = new Float32Array(258);
    far.set([7, -1.2, 0.4, 3.5], 0);
    far.set([-0.5, 0.5], 256);
    // The interval of its logarithm, 32, is halved 24 times.
    const step = 2 ** (-24 + 32 * 2 ** -24) * Math.sqrt(far.reduce((sum, value) => sum + value ** 2, 0) / 258);
    const exponents = [7, 0.5].map((max) => Math.ceil(Math.log2(max / 7.5 / step)));
    const codes = Array.from(far, (value, index) => Math.sign(value) * Math.round(Math.abs(value) / (step * 2 ** exponents[index < 256 ? 0 : 1]!)));
    const update = await encode('compressed', vector(far), zeros(258));
    const packed = compressedPiece(update, 0, 258);
    expect([...packed.slice(0, 2)]).toEqual(exponents);
    expect([...packed.slice(2)]).toEqual(Array.from({ length: 129 }, (_, pair) => (codes[2 * pair]! & 15) | ((codes[2 * pair + 1]! & 15) << 4)));
    let [products, squares] = [0, 0];
    const multiples = codes.map((code, index) => code * 2 ** exponents[index < 256 ? 0 : 1]!);
    multiples.forEach((multiple, index) => {
      products += far[index]! * multiple;
      squares += multiple ** 2;
    });
    const scale = Math.fround(products / squares);
    expect(floats(update, 'scales/w')).toEqual([scale]);
    expect(await valuesOf(decode('compressed', update, zeros(258)).tensors)).toEqual(Float32Array.from(multiples, (multiple) => multiple * scale + 0));
  });

  it('compressed: what rows and columns have in common is sent as factors', async () => {
    const [rows, columns] = [40, 60];
    const left = Array.from({ length: rows }, (_, row) => (row % 15) - 7);
    const right = Array.from({ length: columns }, (_, column) => ((column * 4) % 15) - 7);
    const values = Float32Array.from({ length: rows * columns }, (_, index) => 0.25 * left[Math.floor(index / columns)]! * right[index % columns]! + 0);
    const update = await encode('compressed', matrix(rows, columns, values), matrix(rows, columns));
    expect(floats(update, 'scales/w')).toEqual([0, 0.25]);
    expect(await valuesOf(decode('compressed', update, matrix(rows, columns)).tensors)).toEqual(values);
    const sizes = new Uint32Array(Uint8Array.from(bytes(update, 'sizes/w')).buffer);
    expect(sizes).toHaveLength(2);
    expect(sizes[0]).toBeLessThanOrEqual(50);
  });

  it('compressed: as many bytes as it is meant to take, one frame for each 32 768 codes, whatever the values', async () => {
    const random = new Random('frames');
    const [rows, columns] = [300, 400];
    const noise = (): Float32Array => random.fillNormal(new Float32Array(rows * columns));
    const [left, right] = [random.fillNormal(new Float32Array(rows)), random.fillNormal(new Float32Array(columns))];
    const [taken, errors]: [number[], number[]] = [[], []];
    for (const values of [noise(), noise().map((value) => value ** 3), noise().map((value, index) => value + 2 * left[Math.floor(index / columns)]! * right[index % columns]!)]) {
      const update = await encode('compressed', matrix(rows, columns, values), matrix(rows, columns));
      const sizes = new Uint32Array(Uint8Array.from(bytes(update, 'sizes/w')).buffer);
      expect(sizes).toHaveLength(1 + 4);
      taken.push((8 * bytes(update, 'values/w').length) / values.length);
      const decoded = await valuesOf(decode('compressed', update, matrix(rows, columns)).tensors);
      errors.push(rootSquares(decoded.map((value, index) => value - values[index]!)) / rootSquares(values));
    }
    // Normal values, long tails, whose largest values set the steps, and a matrix that has four fifths of its squares in one component.
    expect(taken.every((bits) => bits < 1.97)).toBe(true);
    expect(taken[0]).toBeGreaterThan(1.9);
    expect(taken[2]).toBeGreaterThan(1.9);
    expect(errors[0]).toBeLessThan(0.325);
    expect(errors[1]).toBeLessThan(0.3);
    expect(errors[2]).toBeLessThan(0.16);
  });

  it('bfloat16: to nearest, ties to even, negative zero stays', async () => {
    const update = await encode('bfloat16', vector([1, -0, 1 + 2 ** -8, 1 + 3 * 2 ** -8]), vector([0, 0, 0, 0]));
    expect([...new Uint16Array(Uint8Array.from(bytes(update, 'values/w')).buffer)]).toEqual([0x3f80, 0x8000, 0x3f80, 0x3f82]);
  });

  it('delta: the changed bits, the lowest byte of all values first; what does not get smaller stays', async () => {
    const base = vector([1, 0, 0]);
    const update = await encode('delta', vector([1, -0, 4 * TINY]), base);
    expect(bytes(update, 'values/w')).toEqual([0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0x80, 0]);
    expect([...new Uint32Array(Uint8Array.from(bytes(update, 'sizes/w')).buffer)]).toEqual([3, 3, 3, 3]);
    expect(update.residual).toBeNull();
    const decoded = decode('delta', update, base);
    expect(decoded.kind).toBe('weights');
    expect(Object.is((await valuesOf(decoded.tensors))[1], -0)).toBe(true);
  });

  it('denormals are met exactly, and blocks of zeros have the scale 0', async () => {
    const update = await encode('int8', vector([...padded(180 * TINY, 1 * TINY), ...padded()]), zeros(256));
    expect(floats(update, 'scales/w')).toEqual([2 * TINY, 0]);
    expect(bytes(update, 'values/w').slice(0, 2)).toEqual([90, 1]);
    const one = await encode('int4', vector([TINY]), zeros(1));
    expect(await valuesOf(decode('int4', one, zeros(1)).tensors)).toEqual(Float32Array.of(TINY));
  });

  it('differences and residuals are rounded to float32 once each', async () => {
    const [w, base, residual] = [0.1, 0.3, 1e-9].map(Math.fround) as [number, number, number];
    const change = Math.fround(Math.fround(w - base) + residual);
    const update = await encode('bfloat16', vector([w]), vector([base]), vector([residual]));
    const [sent] = await valuesOf(decode('bfloat16', update, vector([base])).tensors);
    expect(await valuesOf(update.residual!)).toEqual(Float32Array.of(change - sent!));
    expect(await valuesOf(appliedTo(vector([base]), decode('bfloat16', update, vector([base]))))).toEqual(Float32Array.of(base + sent!));
  });

  it('scalars and tensors without values', async () => {
    const tensors = (value: number): MemoryTensorSource => MemoryTensorSource.fromParameters(new Map([['empty', { shape: [0, 3], data: new Float32Array() }], ['scalar', { shape: [], data: Float32Array.of(value) }]]));
    for (const encoding of ENCODINGS) {
      const decoded = decode(encoding, await encode(encoding, tensors(1.5), tensors(0.5)), tensors(0.5));
      expect((await valuesOf(appliedTo(tensors(0.5), decoded), 'scalar'))[0]).toBeCloseTo(1.5, 6);
      expect(await valuesOf(decoded.tensors, 'empty')).toHaveLength(0);
    }
  });
});

describe('properties', () => {
  const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 100), max: 2 ** 100 });
  const arrays = fc.float32Array({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 100), max: 2 ** 100, minLength: 1, maxLength: 300 });

  it('rounded values are within half a step', async () => {
    await fc.assert(fc.asyncProperty(arrays, fc.constantFrom('int8' as const, 'int4' as const), async (values, encoding) => {
      const update = await encode(encoding, vector(values), zeros(values.length));
      const scales = floats(update, 'scales/w');
      const decoded = await valuesOf(decode(encoding, update, zeros(values.length)).tensors);
      // Half a step, and the rounding of the product to float32.
      decoded.forEach((value, index) => {
        expect(Math.abs(value - values[index]!)).toBeLessThanOrEqual(scales[Math.floor(index / 128)]! / 2 + Math.abs(value) * 2 ** -24);
      });
    }));
  });

  it('compressed leaves over no more than there was, and no more than a code of a block in each of its values', async () => {
    // Far from denormals, which a float32 scale rounds by more than a share.
    const values = fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 60), max: 2 ** 60 }).map((value) => (Math.abs(value) < 2 ** -60 ? 0 : value));
    const shapes = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 })).chain(([rows, columns]) => fc.tuple(fc.constant(rows), fc.constant(columns), fc.array(values, { minLength: rows * columns, maxLength: rows * columns })));
    await fc.assert(fc.asyncProperty(shapes, async ([rows, columns, random]) => {
      const update = await encode('compressed', matrix(rows, columns, Float32Array.from(random)), matrix(rows, columns));
      const decoded = await valuesOf(decode('compressed', update, matrix(rows, columns)).tensors);
      let [error, squares] = [0, 0];
      decoded.forEach((value, index) => {
        error += (value - random[index]!) ** 2;
        squares += random[index]! ** 2;
      });
      expect(error).toBeLessThanOrEqual(squares * (1 + 1e-6));
      expect(floats(update, 'scales/w').length - 1).toBeLessThanOrEqual((rows * columns) / (4 * (rows + columns)));
    }));
  });

  it('delta gives back every bit, whatever the base', async () => {
    await fc.assert(fc.asyncProperty(arrays, fc.array(finite, { minLength: 300, maxLength: 300 }), async (values, others) => {
      const base = vector(others.slice(0, values.length));
      const decoded = await valuesOf(decode('delta', await encode('delta', vector(values), base), base).tensors);
      expect(sameBits(decoded, values)).toBe(true);
    }));
  });

  it('with error feedback the sum of what was sent follows the sum of true updates within a step', async () => {
    const random = new Random('error-feedback');
    for (const encoding of ROUNDED) {
      let residual: TensorSource | null = null;
      const [truth, sum] = [new Float64Array(1000), new Float64Array(1000)];
      let step = 0;
      for (let round = 1; round <= 30; round++) {
        const change = random.fillNormal(new Float32Array(1000));
        const update: EncodedUpdate = await encode(encoding, vector(change), zeros(1000), residual);
        const sent = await valuesOf(decode(encoding, update, zeros(1000)).tensors);
        change.forEach((value, index) => (truth[index]! += value));
        sent.forEach((value, index) => (sum[index]! += value));
        residual = vector(await valuesOf(update.residual!));
        // Of bfloat16, values above 4 are apart by 2^-5. What ternary leaves over stays below some six times the mean magnitude.
        step = encoding === 'bfloat16' ? 2 ** -5 : (encoding === 'ternary' ? 4 : 1) * Math.max(...floats(update, 'scales/w'));
      }
      sum.forEach((value, index) => {
        expect(Math.abs(value - truth[index]!)).toBeLessThan(step);
      });
    }
  });

  it('reads by any ranges what it reads as a whole', async () => {
    const count = 70_001;
    const [base, update] = [new Random('base').fillNormal(new Float32Array(count)), new Random('update').fillNormal(new Float32Array(count))];
    // Many bits stay: the upper planes are compressed.
    update.forEach((value, index) => (update[index] = base[index]! + 1e-4 * value));
    for (const encoding of ENCODINGS) {
      const encoded = await encode(encoding, vector(update), vector(base));
      const { tensors } = decode(encoding, encoded, vector(base));
      const whole = await valuesOf(tensors);
      const ranges = [[0, 1], [1, 128], [127, 2], [32_767, 2], [65_535, 4466], [count - 1, 1], [12_345, 40_001]] as const;
      await Promise.all(ranges.map(async ([first, length]) => {
        const buffer = new Uint8Array(4 * length + 1);
        // Also to where no float32 could lie.
        await tensors.readBytes('w', 4 * first, buffer.subarray(1));
        expect(sameBits(buffer.subarray(1), whole.subarray(first, first + length))).toBe(true);
      }));
      if (encoding === 'delta') expect(sameBits(whole, update)).toBe(true);
    }
    await expect(decode('int8', await encode('int8', vector(update), vector(base)), vector(base)).tensors.readBytes('w', 4 * count, new Uint8Array(4))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('takes the bytes a value that it says', async () => {
    const update = new Random('bytes').fillNormal(new Float32Array(2 ** 16));
    for (const encoding of ENCODINGS) {
      const { tensors } = await encode(encoding, vector(update), zeros(update.length));
      const taken = tensors.reduce((sum, { data }) => sum + data.byteLength, 0) / update.length;
      if (encoding === 'delta') expect(taken).toBeLessThanOrEqual(bytesPerValue(encoding) + 1e-3);
      else if (encoding === 'compressed') expect(taken).toBeCloseTo(bytesPerValue(encoding), 2);
      else expect(taken).toBe(bytesPerValue(encoding));
    }
  });

  it('gives the same bytes twice', async () => {
    const [base, update] = [new Random(1).fillNormal(new Float32Array(5000)), new Random(2).fillNormal(new Float32Array(5000))];
    for (const encoding of ENCODINGS) {
      const [first, second] = await Promise.all([0, 1].map(() => encode(encoding, vector(update), vector(base))));
      first!.tensors.forEach(({ name, data }, index) => {
        expect([name, sameBits(data, second!.tensors[index]!.data)]).toEqual([second!.tensors[index]!.name, true]);
      });
    }
  });
});

describe('refuses', () => {
  it.each(ENCODINGS)('to encode NaN, infinity and what is too large, by name: %s', async (encoding) => {
    for (const value of [NaN, Infinity, -Infinity]) {
      await expect(encode(encoding, source({ a: [1], w: [0, value] }), source({ a: [1], w: [0, 0] }))).rejects.toMatchObject({ code: 'ENCODING_NON_FINITE', tensor: 'w', message: expect.stringMatching(/element 1 /) as string });
    }
    if (encoding === 'delta') return;
    const largest = (2 - 2 ** -23) * 2 ** 127;
    await expect(encode(encoding, vector([largest]), vector([-largest]))).rejects.toMatchObject({ code: 'ENCODING_NON_FINITE' });
  });

  it('an update whose tensors are not those of its base', async () => {
    await expect(encode('int8', vector([1, 2]), zeros(3))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(encode('int8', zeros(2), zeros(2), zeros(3))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  const good = (encoding: PackedEncoding): Promise<EncodedUpdate> => encode(encoding, vector([1, 2, 3]), zeros(3));
  /** What becomes of an update that somebody changed: when it is opened, or when it is read. */
  async function outcome(encoding: PackedEncoding, update: Pick<EncodedUpdate, 'tensors' | 'metadata'>, base: TensorSource = zeros(3)): Promise<unknown> {
    try {
      return await valuesOf(decode(encoding, update, base).tensors);
    } catch (error) {
      return error instanceof UpdateCodecError ? `${error.code}: ${error.message}` : error;
    }
  }
  const changed = (tensors: readonly TensorBytes[], name: string, change: Partial<TensorBytes>): TensorBytes[] => tensors.map((tensor) => (tensor.name === name ? { ...tensor, ...change } : tensor));

  it('another encoding, version or base, and no encoding at all', async () => {
    const { tensors, metadata } = await good('int8');
    expect(encodingOf(metadata)).toBe('int8');
    expect(encodingOf({ format: 'pt' })).toBe('float32');
    expect(await outcome('int4', { tensors, metadata })).toMatch(/^ENCODING_MISMATCH: it is in the encoding "int8", and int4 was agreed on/);
    expect(await outcome('int8', { tensors, metadata: { format: 'pt' } })).toMatch(/^ENCODING_MISMATCH: it is in the encoding "float32"/);
    expect(await outcome('int8', { tensors, metadata: { ...metadata, version: '2' } })).toMatch(/^ENCODING_MISMATCH: .*version "2"/);
    expect(await outcome('int8', { tensors, metadata: { ...metadata, base: 'c'.repeat(64) } })).toMatch(/^ENCODING_MISMATCH: .*other parameters/);
  });

  it('tensors that are missing, left over, of another type or size, before anything is read', async () => {
    const { tensors, metadata } = await good('int8');
    expect(await outcome('int8', { tensors: tensors.slice(1), metadata })).toMatch(/^ENCODING_INVALID: tensor w: scales\/w is absent/);
    expect(await outcome('int8', { tensors: [...tensors, { name: 'values/v', dtype: 'I8', shape: [0], data: new Uint8Array() }], metadata })).toMatch(/^ENCODING_INVALID: tensor values\/v/);
    expect(await outcome('int8', { tensors: changed(tensors, 'values/w', { dtype: 'U8' }), metadata })).toMatch(/^ENCODING_INVALID: .*U8 \[3\], and I8 \[3\]/);
    expect(await outcome('int8', { tensors: changed(tensors, 'values/w', { shape: [1, 3] }), metadata })).toMatch(/^ENCODING_INVALID/);
    const delta = await good('delta');
    expect(await outcome('delta', { ...delta, tensors: changed(delta.tensors, 'values/w', { shape: [13], data: new Uint8Array(13) }) })).toMatch(/^ENCODING_INVALID: .*at most 12/);
  });

  it.each([NaN, Infinity, -1])('a scale of %s', async (scale) => {
    const { tensors, metadata } = await good('int8');
    const bad = changed(tensors, 'scales/w', { data: new Uint8Array(Float32Array.of(scale).buffer) });
    expect(await outcome('int8', { tensors: bad, metadata })).toMatch(/^ENCODING_INVALID: tensor w: scale 0 is/);
  });

  it('compressed codes that are cut short, too many, or expand beyond their piece', async () => {
    const base = zeros(1000);
    const { tensors, metadata } = await encode('compressed', vector(new Random('hostile').fillNormal(new Float32Array(1000))), base);
    const { data } = tensors.find(({ name }) => name === 'values/w')!;
    const sent = (payload: Uint8Array, ...sizes: number[]): Promise<unknown> => {
      const values = changed(tensors, 'values/w', { shape: [payload.byteLength], data: payload });
      return outcome('compressed', { tensors: changed(values, 'sizes/w', { shape: [sizes.length], data: new Uint8Array(Uint32Array.from(sizes).buffer) }), metadata }, base);
    };
    expect(data.byteLength).toBeLessThan(504);
    expect(await sent(data, 0, data.byteLength)).toBeInstanceOf(Float32Array);
    expect(await sent(data, 0, data.byteLength - 1)).toMatch(/^ENCODING_INVALID: .*do not add up/);
    expect(await sent(data, data.byteLength)).toMatch(/^ENCODING_INVALID: .*sizes\/w is U32 \[1\], and U32 \[2\]/);
    expect(await sent(data, 1, data.byteLength - 1)).toMatch(/^ENCODING_INVALID: .*a part of 0 bytes claims to be compressed to 1/);
    expect(await sent(data, 0, 505)).toMatch(/claims to be compressed to 505/);
    expect(await sent(new Uint8Array(505), 0, 505)).toMatch(/^ENCODING_INVALID: .*at most 504/);
    expect(await sent(data.subarray(0, -2), 0, data.byteLength - 2)).toMatch(/piece 0: part 0 does not decompress to 504 bytes/);
    expect(await sent(new Uint8Array(), 0, 0)).toMatch(/part 0 does not decompress/);
    for (const length of [503, 505, 4_000_000]) {
      const frame = zstdCompressSync(new Uint8Array(length));
      expect(await sent(frame, 0, frame.byteLength)).toMatch(/part 0 does not decompress/);
    }
  });

  it('compressed factors that are too many, cut short, or expand, and values beyond float32', async () => {
    const base = matrix(40, 60);
    const noise = new Random('factors').fillNormal(new Float32Array(2400));
    const values = noise.map((value, index) => 20 * value + (Math.floor(index / 60) - 20) * ((index % 60) - 30));
    const { tensors, metadata } = await encode('compressed', matrix(40, 60, values), base);
    const scales = tensors.find(({ name }) => name === 'scales/w')!;
    const rank = scales.shape[0]! - 1;
    const sizes = new Uint32Array(Uint8Array.from(tensors.find(({ name }) => name === 'sizes/w')!.data).buffer);
    const payload = tensors.find(({ name }) => name === 'values/w')!.data;
    const with2 = (change: Readonly<Record<string, Partial<TensorBytes>>>): Promise<unknown> =>
      outcome('compressed', { tensors: tensors.map((tensor) => ({ ...tensor, ...change[tensor.name] })), metadata }, base);
    const floatsOf = (...each: number[]): Partial<TensorBytes> => ({ shape: [each.length], data: new Uint8Array(Float32Array.from(each).buffer) });
    expect(rank).toBeGreaterThan(0);
    expect(await with2({})).toBeInstanceOf(Float32Array);
    // 2400 values by 4 bits for each of 100 rows and columns.
    expect(await with2({ 'scales/w': floatsOf(...Array<number>(8).fill(0)) })).toMatch(/^ENCODING_INVALID: .*scales\/w is F32 \[8\], and F32 \[1 to 7\]/);
    expect(await with2({ 'scales/w': floatsOf() })).toMatch(/^ENCODING_INVALID: .*scales\/w is F32 \[0\]/);
    expect(await with2({ 'scales/w': floatsOf(...Array<number>(rank + 2).fill(0)) })).toMatch(/the part before all pieces: part 0 does not decompress to/);
    for (const scale of [NaN, Infinity, -1]) expect(await with2({ 'scales/w': floatsOf(0, ...Array<number>(rank).fill(scale)) })).toMatch(/^ENCODING_INVALID: tensor w: scale 1 is/);
    expect(await with2({ 'scales/w': floatsOf(0, ...Array<number>(rank).fill(2 ** 127)) })).toMatch(/^ENCODING_INVALID: tensor w: element \d+ would be .* which is no float32/);
    const bomb = zstdCompressSync(new Uint8Array(4_000_000));
    const bombed = Buffer.concat([bomb.subarray(0, sizes[0]), payload.subarray(sizes[0])]);
    expect(await with2({ 'values/w': { shape: [bombed.byteLength], data: bombed }, 'sizes/w': { data: new Uint8Array(Uint32Array.of(Math.min(bomb.byteLength, sizes[0]!), sizes[1]!).buffer) } })).toMatch(/^ENCODING_INVALID/);
    // Exponents as large as a byte has.
    const exponents = Buffer.concat([new Uint8Array(10).fill(255), new Uint8Array(1200).fill(0x11)]);
    const raised = Buffer.concat([payload.subarray(0, sizes[0]), exponents]);
    expect(await with2({ 'scales/w': floatsOf(1, ...Array<number>(rank).fill(0)), 'values/w': { shape: [raised.byteLength], data: raised }, 'sizes/w': { data: new Uint8Array(Uint32Array.of(sizes[0]!, exponents.byteLength).buffer) } })).toMatch(/element 0 would be/);
  });

  it('a byte that no five codes make', async () => {
    const { tensors, metadata } = await good('ternary');
    expect(await outcome('ternary', { tensors: changed(tensors, 'values/w', { data: Uint8Array.of(243) }), metadata })).toMatch(/^ENCODING_INVALID: tensor w: byte 0 is 243/);
  });

  it('compressed bytes that are cut short, too many, or expand beyond their piece', async () => {
    const base = zeros(1000);
    const { tensors, metadata } = await encode('delta', vector(new Float32Array(1000).fill(1)), base);
    const sizes = (...each: number[]): Partial<TensorBytes> => ({ data: new Uint8Array(Uint32Array.from(each).buffer) });
    const payload = (...parts: Uint8Array[]): Partial<TensorBytes> => ({ shape: [Buffer.concat(parts).byteLength], data: Buffer.concat(parts) });
    const lengths = [...new Uint32Array(Uint8Array.from(tensors.find(({ name }) => name === 'sizes/w')!.data).buffer)];
    const { data } = tensors.find(({ name }) => name === 'values/w')!;
    const with2 = (values: Partial<TensorBytes>, ...each: number[]): Promise<unknown> => outcome('delta', { tensors: changed(changed(tensors, 'values/w', values), 'sizes/w', sizes(...each)), metadata }, base);
    expect(await with2({}, lengths[0]! + 1, ...lengths.slice(1))).toMatch(/do not add up/);
    expect(await with2({}, 1001, 0, 0, 0)).toMatch(/claims to be compressed to 1001/);
    const cut = lengths[3]! - 2;
    expect(await with2(payload(data.subarray(0, data.byteLength - 2)), ...lengths.slice(0, 3), cut)).toMatch(/part 3 does not decompress/);
    const bomb = zstdCompressSync(new Uint8Array(16_000_000));
    expect(await with2(payload(bomb.subarray(0, 999), new Uint8Array(0)), Math.min(999, bomb.byteLength), 0, 0, 0)).toMatch(/part 0 does not decompress/);
    const less = zstdCompressSync(new Uint8Array(999));
    expect(await with2(payload(less), less.byteLength, 0, 0, 0)).toMatch(/part 0 does not decompress/);
  });

  it('parameters that are not float32', async () => {
    const { tensors, metadata } = await good('int8');
    const half = new MemoryTensorSource([{ name: 'w', dtype: 'BF16', shape: [3], data: new Uint8Array(6) }]);
    expect(() => decodeUpdate(new MemoryTensorSource(tensors), metadata, { encoding: 'int8', base: half, baseHash: BASE })).toThrow(/parameters are float32/);
  });
});
