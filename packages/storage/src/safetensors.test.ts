import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  decodeSafetensors,
  encodeBfloat16,
  encodeFloat16,
  encodeParameters,
  encodeSafetensors,
  hashParameters,
  MemoryTensorSource,
  Random,
  SafetensorsError,
  type Float32Tensor,
  type TensorSpec,
} from '@zk0/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomBytes, scratchDirectories } from '../test/scratch.ts';
import { hashFile } from './hash.ts';
import { readParameters, writeParameters } from './parameters-file.ts';
import { openSafetensors } from './safetensors-file.ts';
import { createSafetensors } from './safetensors-writer.ts';
import { writeTensors } from './write-tensors.ts';

const scratch = scratchDirectories();

function parameters(seed = 1): Map<string, Float32Tensor> {
  const random = new Random(seed);
  const make = (...shape: number[]): Float32Tensor => ({
    shape,
    data: random.fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))),
  });
  return new Map([
    ['layer.weight', make(7, 5)],
    ['a.bias', make(3)],
    ['scalar', make()],
    ['none', make(0, 4)],
  ]);
}

describe('parameter files', () => {
  it('hold the canonical bytes and say their hash', async () => {
    const file = join(await scratch(), 'model.safetensors');
    const set = parameters();
    const written = await writeParameters(file, set);
    expect(written).toEqual({ hash: hashParameters(set), byteLength: encodeParameters(set).byteLength });
    expect(new Uint8Array(await readFile(file))).toEqual(encodeParameters(set));
    expect(await writeTensors(file, MemoryTensorSource.fromParameters(set))).toEqual(written);
    expect(await readParameters(file)).toEqual(new Map([...set].sort(([a], [b]) => (a < b ? -1 : 1))));
  });

  it('are read into shared memory and written from there', async () => {
    const directory = await scratch();
    const written = await writeParameters(join(directory, 'a'), parameters());
    const shared = await readParameters(join(directory, 'a'), { shared: true });
    for (const { data } of shared.values()) expect(data.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(await writeParameters(join(directory, 'b'), shared)).toEqual(written);
  });

  it('are not there when their source breaks off', async () => {
    const directory = await scratch();
    const source = MemoryTensorSource.fromParameters(parameters());
    const broken = { specs: source.specs, readBytes: () => Promise.reject(new Error('gone')) };
    await expect(writeTensors(join(directory, 'model.safetensors'), broken)).rejects.toThrow('gone');
    expect(await readdir(directory)).toEqual([]);
  });

  it('widen 16-bit floats exactly, also when a tensor is longer than a piece', async () => {
    const file = join(await scratch(), 'half.safetensors');
    const count = (1 << 20) + 3;
    const values = new Random(2).fillNormal(new Float32Array(count));
    const bf16 = encodeBfloat16(values, new Uint16Array(count));
    const f16 = encodeFloat16(values, new Uint16Array(count));
    const bytes = encodeSafetensors([
      { name: 'b', dtype: 'BF16', shape: [count], data: new Uint8Array(bf16.buffer) },
      { name: 'h', dtype: 'F16', shape: [count], data: new Uint8Array(f16.buffer) },
    ]);
    await writeFile(file, bytes);
    const read = await readParameters(file);
    const same = (a: Uint16Array, b: Uint16Array): boolean => Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
    expect(same(encodeBfloat16(read.get('b')!.data, new Uint16Array(count)), bf16)).toBe(true);
    expect(same(encodeFloat16(read.get('h')!.data, new Uint16Array(count)), f16)).toBe(true);
  });

  it('come from any tensor source', async () => {
    const source = new MemoryTensorSource([{ name: 'x', dtype: 'F32', shape: [2], data: new Uint8Array(8) }]);
    expect((await readParameters(source)).get('x')!.data).toEqual(new Float32Array(2));
  });

  it('are not made of integers', async () => {
    const file = join(await scratch(), 'x');
    await writeFile(file, encodeSafetensors([{ name: 'steps', dtype: 'I64', shape: [], data: new Uint8Array(8) }]));
    await expect(readParameters(file)).rejects.toMatchObject({ code: 'TENSOR_DTYPE', message: expect.stringContaining('steps') as string });
  });

  it('refuse values that do not fit their shape', async () => {
    const file = join(await scratch(), 'x');
    const set = new Map([['w', { shape: [3], data: new Float32Array(2) }]]);
    await expect(writeParameters(file, set)).rejects.toThrow('tensor w has 2 values');
  });
});

describe('openSafetensors', () => {
  it('reads any range of any tensor', async () => {
    const file = join(await scratch(), 'x.safetensors');
    const data = randomBytes(100);
    await writeFile(file, encodeSafetensors([
      { name: 'z', dtype: 'U8', shape: [100], data },
      { name: 'a', dtype: 'I16', shape: [2], data: randomBytes(4) },
    ], { made: 'here' }));
    const tensors = await openSafetensors(file);
    expect(tensors.specs.map(({ name }) => name)).toEqual(['a', 'z']);
    expect(tensors.metadata).toEqual({ made: 'here' });
    const { begin, end } = tensors.tensorLocation('z');
    expect(new Uint8Array(await readFile(file)).subarray(begin, end)).toEqual(data);
    const piece = new Uint8Array(10);
    await tensors.readBytes('z', 45, piece);
    expect(piece).toEqual(data.subarray(45, 55));
    await expect(tensors.readBytes('z', 95, piece)).rejects.toMatchObject({ code: 'TENSOR_RANGE' });
    await expect(tensors.readBytes('z', -1, piece)).rejects.toMatchObject({ code: 'TENSOR_RANGE' });
    await expect(tensors.readBytes('nobody', 0, piece)).rejects.toMatchObject({ code: 'TENSOR_RANGE' });
    await tensors.close();
  });

  it('notices a file that is cut while it is open', async () => {
    const file = join(await scratch(), 'x.safetensors');
    await writeFile(file, encodeSafetensors([{ name: 'z', dtype: 'U8', shape: [100], data: randomBytes(100) }]));
    const tensors = await openSafetensors(file);
    await truncate(file, 120);
    await expect(tensors.readBytes('z', 0, new Uint8Array(100))).rejects.toThrow(SafetensorsError);
    await tensors.close();
  });

  it('names the file that is missing, empty, a folder, or damaged', async () => {
    const directory = await scratch();
    await expect(openSafetensors(join(directory, 'no'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(openSafetensors(directory)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    for (const bytes of [new Uint8Array(0), new Uint8Array(8).fill(255), randomBytes(200)]) {
      const file = join(directory, 'damaged');
      await writeFile(file, bytes);
      await expect(openSafetensors(file)).rejects.toMatchObject({
        code: 'SAFETENSORS_INVALID',
        message: expect.stringContaining(file) as string,
      });
    }
  });
});

describe('createSafetensors', () => {
  const specs: TensorSpec[] = [
    { name: 'b', dtype: 'F32', shape: [4] },
    { name: 'a', dtype: 'F32', shape: [2, 3] },
    { name: 'empty', dtype: 'F32', shape: [0] },
  ];

  it('writes any order of pieces to the same file, and knows its hash', async () => {
    const directory = await scratch();
    const contents = new Map([['a', randomBytes(24, 1)], ['b', randomBytes(16, 2)], ['empty', new Uint8Array(0)]]);
    const expected = encodeSafetensors(['a', 'b', 'empty'].map((name) => ({ ...specs.find((spec) => spec.name === name)!, data: contents.get(name)! })));
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 23 }), { maxLength: 6 }), fc.infiniteStream(fc.nat()), async (cuts, order) => {
        const file = join(directory, `file-${run++}`);
        const pieces = ['a', 'b'].flatMap((name) => {
          const { length } = contents.get(name)!;
          const edges = [...new Set([0, length, ...cuts.filter((cut) => cut < length)])].sort((x, y) => x - y);
          return edges.slice(1).map((end, index) => ({ name, begin: edges[index]!, end, key: Number(order.next().value) }));
        });
        pieces.sort((x, y) => x.key - y.key);
        const writer = await createSafetensors(file, specs);
        for (const { name, begin, end } of pieces) await writer.writeBytes(name, begin, contents.get(name)!.subarray(begin, end));
        const blob = await writer.commit();
        expect(new Uint8Array(await readFile(file))).toEqual(expected);
        expect(blob).toEqual(await hashFile(file));
      }),
      { numRuns: 40 },
    );
  });

  it('aligns every tensor to its own width', async () => {
    const file = join(await scratch(), 'mixed');
    const writer = await createSafetensors(file, [
      { name: 'a', dtype: 'U8', shape: [3] },
      { name: 'b', dtype: 'BF16', shape: [3] },
      { name: 'c', dtype: 'F32', shape: [1] },
      { name: 'd', dtype: 'I64', shape: [1] },
    ]);
    for (const { name } of writer.specs) await writer.writeBytes(name, 0, new Uint8Array({ a: 3, b: 6, c: 4, d: 8 }[name]!));
    await writer.commit();
    const tensors = await openSafetensors(file);
    for (const [name, width] of [['b', 2], ['c', 4], ['d', 8]] as const) expect(tensors.tensorLocation(name).begin % width).toBe(0);
    await tensors.close();
  });

  it('carries metadata', async () => {
    const file = join(await scratch(), 'x');
    await (await createSafetensors(file, [], { metadata: { round: '3' } })).commit();
    expect(decodeSafetensors(await readFile(file)).metadata).toEqual({ round: '3' });
  });

  it('refuses bytes twice, bytes outside, unknown tensors, and a commit with a hole', async () => {
    const directory = await scratch();
    const writer = await createSafetensors(join(directory, 'x'), specs);
    await writer.writeBytes('b', 0, new Uint8Array(8));
    await expect(writer.writeBytes('b', 4, new Uint8Array(8))).rejects.toMatchObject({ code: 'TENSORS_INCOMPLETE' });
    await expect(writer.writeBytes('b', 12, new Uint8Array(8))).rejects.toMatchObject({ code: 'TENSOR_RANGE' });
    await expect(writer.writeBytes('c', 0, new Uint8Array(1))).rejects.toMatchObject({ code: 'TENSOR_RANGE' });
    await expect(writer.commit()).rejects.toThrow('tensor a was not written completely');
    await writer.writeBytes('a', 0, new Uint8Array(24));
    await writer.writeBytes('b', 8, new Uint8Array(8));
    await writer.commit();
    await expect(writer.writeBytes('b', 0, new Uint8Array(1))).rejects.toMatchObject({ code: 'TENSORS_INCOMPLETE' });
    await writer.abort();
    expect(await readdir(directory)).toEqual(['x']);
  });

  it('starts over when told to, hash included', async () => {
    const folder = await scratch();
    const specs: TensorSpec[] = [{ name: 'a', dtype: 'U8', shape: [6] }];
    const writer = await createSafetensors(join(folder, 'file'), specs);
    await writer.writeBytes('a', 0, Uint8Array.of(9, 9, 9, 9));
    writer.restart();
    await writer.writeBytes('a', 0, Uint8Array.of(1, 2, 3, 4, 5, 6));
    const blob = await writer.commit();
    expect(await hashFile(join(folder, 'file'))).toEqual(blob);
    const file = await openSafetensors(join(folder, 'file'));
    const read = new Uint8Array(6);
    await file.readBytes('a', 0, read);
    expect([...read]).toEqual([1, 2, 3, 4, 5, 6]);
    await file.close();
  });

  it('leaves nothing after an abort, and keeps the file that was there', async () => {
    const directory = await scratch();
    const file = join(directory, 'x');
    await writeFile(file, 'old');
    const writer = await createSafetensors(file, specs);
    await writer.writeBytes('b', 0, new Uint8Array(8));
    await writer.abort();
    expect(await readdir(directory)).toEqual(['x']);
    expect(await readFile(file, 'utf8')).toBe('old');
  });

  it('refuses two tensors of one name, and a folder that is not there', async () => {
    const directory = await scratch();
    await expect(createSafetensors(join(directory, 'x'), [specs[0]!, specs[0]!])).rejects.toThrow('named twice');
    await expect(createSafetensors(join(directory, 'no', 'x'), specs)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });
});
