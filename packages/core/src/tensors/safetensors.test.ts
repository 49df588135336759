import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteLength, DTYPE_BYTES, type Dtype } from './dtype.ts';
import { MemoryTensorSource } from './memory-source.ts';
import { encodeParameters, hashParameters, updateNorm, type Parameters } from './parameters.ts';
import { decodeSafetensors, encodeSafetensors, headerLength, SafetensorsError } from './safetensors.ts';

const dtypes = Object.keys(DTYPE_BYTES) as Dtype[];

/** A file with exactly this header text and body, right or wrong. */
function file(header: string, bodyBytes = 0): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.byteLength + bodyBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  bytes.set(json, 8);
  return bytes;
}

describe('safetensors', () => {
  it('reads back what it wrote, for any names, dtypes and shapes', () => {
    const tensor = fc
      .record({
        name: fc.string({ minLength: 1, maxLength: 20 }).filter((name) => name !== '__metadata__' && name !== '__proto__'),
        dtype: fc.constantFrom(...dtypes),
        shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      })
      .map((spec) => ({ ...spec, data: new Uint8Array(byteLength(spec)).map((_, index) => index) }));
    fc.assert(
      fc.property(fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 }), (tensors) => {
        const decoded = decodeSafetensors(encodeSafetensors(tensors, { format: 'pt' }));
        expect(decoded.metadata).toEqual({ format: 'pt' });
        const byName = new Map(decoded.tensors.map((found) => [found.name, found]));
        expect(byName.size).toBe(tensors.length);
        for (const wanted of tensors) expect(byName.get(wanted.name)).toEqual(wanted);
      }),
    );
  });

  it.each([
    ['a header longer than the file', new Uint8Array([255, 0, 0, 0, 0, 0, 0, 0, 123, 125])],
    ['a header of 2^63 bytes', new Uint8Array([0, 0, 0, 0, 0, 0, 0, 128])],
    ['too few bytes for a length', new Uint8Array(5)],
    ['no JSON', file('{nope')],
    ['an array', file('[]')],
    ['an unknown dtype', file('{"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}}', 1)],
    ['a negative size', file('{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', 1)],
    ['a shape that overflows', file('{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,8]}}', 8)],
    ['a size unlike its shape', file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', 4)],
    ['bytes past the end', file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 4)],
    ['a gap', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', 2)],
    [
      'an overlap',
      file('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}', 3),
    ],
    ['bytes that no tensor owns', file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 2)],
    [
      'the same name twice',
      file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
    ],
    ['metadata that are no strings', file('{"__metadata__":{"a":1}}')],
  ])('refuses %s', (_what, bytes) => {
    expect(() => decodeSafetensors(bytes)).toThrow(SafetensorsError);
  });

  it('never throws anything but its own error on damaged files', () => {
    const good = encodeSafetensors([{ name: 'w', dtype: 'F32', shape: [2, 2], data: new Uint8Array(16) }]);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(good.length), (at, value, cut) => {
        const bad = good.slice(0, cut);
        if (at < bad.length) bad[at] = value;
        try {
          decodeSafetensors(bad);
        } catch (error) {
          expect(error).toBeInstanceOf(SafetensorsError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('says how long the header is before anything is allocated', () => {
    const bytes = encodeSafetensors([]);
    expect(headerLength(bytes.subarray(0, 8), bytes.byteLength)).toBe(bytes.byteLength - 8);
  });
});

describe('parameters', () => {
  const parameters: Parameters = new Map([
    ['b', { shape: [2], data: Float32Array.of(1, 2) }],
    ['a', { shape: [], data: Float32Array.of(3) }],
  ]);

  it('has one canonical form, whatever the order of insertion', () => {
    const reversed: Parameters = new Map([...parameters].reverse());
    expect(encodeParameters(reversed)).toEqual(encodeParameters(parameters));
    expect(hashParameters(reversed)).toBe(hashParameters(parameters));
  });

  it('hashes names, shapes and values', () => {
    const hash = hashParameters(parameters);
    const variants: Parameters[] = [
      new Map([...parameters].map(([name, tensor]) => [`${name}x`, tensor])),
      new Map([...parameters, ['b', { shape: [2, 1], data: Float32Array.of(1, 2) }]]),
      new Map([...parameters, ['b', { shape: [2], data: Float32Array.of(1, 2.0000002) }]]),
    ];
    for (const variant of variants) expect(hashParameters(variant)).not.toBe(hash);
  });

  it('measures the norm of an update, and refuses unlike sets', () => {
    const moved: Parameters = new Map([...parameters, ['b', { shape: [2], data: Float32Array.of(4, 6) }]]);
    expect(updateNorm(moved, parameters)).toBe(5);
    expect(() => updateNorm(parameters, new Map())).toThrow(TypeError);
  });

  it('is read piece by piece through a memory source', async () => {
    const source = MemoryTensorSource.fromParameters(parameters);
    expect(source.specs.map(({ name }) => name)).toEqual(['a', 'b']);
    const into = new Float32Array(1);
    await source.readBytes('b', 4, new Uint8Array(into.buffer));
    expect(into[0]).toBe(2);
    await expect(source.readBytes('b', 8, new Uint8Array(4))).rejects.toThrow(/bytes 8…12 of 8/);
    await expect(source.readBytes('c', 0, new Uint8Array(4))).rejects.toThrow(/no tensor named c/);
  });
});
