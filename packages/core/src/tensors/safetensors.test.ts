import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteLength, DTYPE_BYTES, type Dtype } from './dtype.ts';
import { MemoryTensorSource } from './memory-source.ts';
import { encodeParameters, hashParameters, updateNorm, type Parameters } from './parameters.ts';
import { readHeaderText, type HeaderCharacters } from './header-text.ts';
import { decodeSafetensors, encodeHeader, encodeSafetensors, headerLength, headerLimits, parseHeader, SafetensorsError } from './safetensors.ts';

const dtypes = Object.keys(DTYPE_BYTES) as Dtype[];

/** A file with exactly this header text and body, right or wrong. */
function file(header: string, bodyBytes = 0): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.byteLength + bodyBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  bytes.set(json, 8);
  return bytes;
}

/** Counts how often and how much of a text is looked at. */
class CountedText implements HeaderCharacters {
  readonly #text: string;
  looks = 0;
  copied = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get length(): number {
    return this.#text.length;
  }

  charCodeAt(index: number): number {
    this.looks++;
    return this.#text.charCodeAt(index);
  }

  slice(start: number, end: number): string {
    this.copied += end - start;
    return this.#text.slice(start, end);
  }
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

  it.each([
    ['a field that the format does not have', '{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"more":1}}'],
    ['a fraction', '{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}'],
    ['a number with a leading zero', '{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}'],
    ['a number beyond what can be counted', '{"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,1]}}'],
    ['a tensor without a shape', '{"a":{"dtype":"U8","data_offsets":[0,1]}}'],
    ['metadata with a key twice', '{"__metadata__":{"k":"1","k":"2"}}'],
    ['a field twice', '{"a":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}}'],
    ['the same name twice, once escaped', '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}'],
    ['a string that does not end', '{"a'],
    ['a string that ends in a backslash', '{"a\\'],
    ['a line break in a name', '{"a\nb":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}'],
    ['something behind the header', '{}{}'],
    ['deep nesting', `{"a":${'['.repeat(100_000)}`],
  ])('refuses %s', (_what, header) => {
    expect(() => decodeSafetensors(file(header, 1))).toThrow(SafetensorsError);
  });

  it('reads headers as JSON.parse does, for any spacing and escapes', () => {
    const space = fc.constantFrom('', ' ', '\n', '\t\r ');
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ maxLength: 8, unit: 'grapheme-ascii' }), { maxLength: 5 }), fc.array(space, { minLength: 1, maxLength: 40 }), (names, spaces) => {
        let next = 0;
        const gap = (): string => spaces[next++ % spaces.length]!;
        const entries = names.map((name) => `${gap()}${JSON.stringify(name)}${gap()}:{${gap()}"shape":[${gap()}2,3]${gap()},"dtype":"U8",${gap()}"data_offsets":[0,6]}`);
        const text = `${gap()}{${entries.join(`${gap()},`)}${gap()}}${gap()}`;
        const { tensors } = readHeaderText(text, { maxTensors: 5, maxRank: 2, maxNameLength: 100 });
        const parsed = JSON.parse(text) as Record<string, { shape: number[] }>;
        expect(tensors.map(({ name }) => name)).toEqual(names);
        for (const { name, shape } of tensors) if (name !== '__proto__') expect(shape).toEqual(parsed[name]!.shape);
      }),
      { numRuns: 40 },
    );
  });

  it('looks at each character of a header a few times at most, whatever it holds', () => {
    const bounds = { maxTensors: 2000, maxRank: 16, maxNameLength: 1024 };
    const tensors = Array.from({ length: 2000 }, (_, index) => `"t${index}":{"dtype":"F32","shape":[${'1,'.repeat(15)}1],"data_offsets":[0,4]}`);
    for (const text of [
      `{${tensors.join(',')}}`,
      `{${tensors.join(`${' '.repeat(100)},`)}}`,
      `{"__metadata__":{${Array.from({ length: 9000 }, (_, index) => `"k${index}":"\\n${'x'.repeat(20)}"`).join(',')}}}`,
      `{"a":${'{"a":'.repeat(50_000)}`,
      `{"${'\\u0041'.repeat(50_000)}`,
      `{${'"a":'.repeat(50_000)}`,
    ]) {
      const counted = new CountedText(text);
      try {
        readHeaderText(counted, bounds);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
      expect(counted.looks).toBeLessThan(4 * text.length + 100);
      expect(counted.copied).toBeLessThanOrEqual(text.length);
    }
  });

  it('stops at the first tensor beyond the limit, without a look at what follows', () => {
    const entry = (index: number): string => `"t${index}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`;
    const entries = Array.from({ length: 5 }, (_, index) => entry(index));
    const counted = new CountedText(`{${entries.join(',')}${'"'.repeat(100_000)}`);
    expect(() => readHeaderText(counted, { maxTensors: 4, maxRank: 16, maxNameLength: 10 })).toThrow('more than 4 tensors');
    expect(counted.looks).toBeLessThan(1500);
    const name = new CountedText(`{"${'x'.repeat(1_000_000)}"`);
    expect(() => readHeaderText(name, { maxTensors: 4, maxRank: 16, maxNameLength: 10 })).toThrow('more than 10 characters');
    expect(name.looks).toBeLessThan(100);
  });

  it('has limits for what a file should hold: honest files fit, larger headers are not read', () => {
    const specs = Array.from({ length: 50 }, (_, index) => ({ name: `layer.${index}."ü".weight`, dtype: 'F32' as const, shape: [3, 4] }));
    const scales = specs.map(({ name }) => ({ name: `${name}.int8_scale`, dtype: 'F32' as const, shape: [1] }));
    const limits = headerLimits(specs);
    const sizes = specs.map(({ name }) => ({ name: `${name}.sizes`, dtype: 'U32' as const, shape: [1] }));
    const header = encodeHeader([...specs, ...scales, ...sizes], { format: 'pt' });
    const size = header.byteLength + 50 * (48 + 4 + 4);
    const length = headerLength(header, size, limits);
    expect(parseHeader(header.subarray(8, 8 + length), size, limits).tensors).toHaveLength(150);
    const large = encodeHeader([], { filler: 'x'.repeat(200_000) });
    expect(() => headerLength(large, large.byteLength, limits)).toThrow(`${limits.maxHeaderBytes!} are allowed`);
    const many = encodeHeader(Array.from({ length: 167 }, (_, index) => ({ name: `${index}`, dtype: 'U8' as const, shape: [0] })));
    expect(() => parseHeader(many.subarray(8), many.byteLength, limits)).toThrow('more than 166 tensors');
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
