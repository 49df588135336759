import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryTensorSink } from './memory-sink.ts';

const bytes = (length: number, value = 1): Uint8Array => new Uint8Array(length).fill(value);
const sink = (length: number): MemoryTensorSink => new MemoryTensorSink([{ name: 'a', dtype: 'U8', shape: [length] }]);

describe('MemoryTensorSink', () => {
  it('gives back what was written, whatever the order of the pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 64 }),
        fc.array(fc.nat({ max: 64 }), { maxLength: 8 }),
        fc.infiniteStream(fc.nat()),
        async (data, cuts, order) => {
          const edges = [...new Set([0, data.length, ...cuts.filter((cut) => cut < data.length)])].sort((a, b) => a - b);
          const pieces = edges.slice(1).map((end, index) => ({ begin: edges[index]!, end, key: Number(order.next().value) }));
          pieces.sort((a, b) => a.key - b.key);
          const target = sink(data.length);
          for (const { begin, end } of pieces) await target.writeBytes('a', begin, data.subarray(begin, end));
          const read = new Uint8Array(data.length);
          await target.finish().readBytes('a', 0, read);
          expect(read).toEqual(data);
        },
      ),
    );
  });

  it('takes bytes that others put where it says, and starts over when told to', async () => {
    const target = new MemoryTensorSink([{ name: 'a', dtype: 'U8', shape: [4] }], { shared: true });
    const place = target.locate('a').bytes;
    expect(place.buffer).toBeInstanceOf(SharedArrayBuffer);
    place.set([1, 2, 3, 4]);
    await target.writeBytes('a', 0, place.subarray(0, 3));
    expect(() => target.finish()).toThrow('not written completely');
    target.restart();
    await target.writeBytes('a', 0, place);
    const read = new Uint8Array(4);
    await target.finish().readBytes('a', 0, read);
    expect([...read]).toEqual([1, 2, 3, 4]);
  });

  it('refuses bytes that are written twice, in part or whole', async () => {
    const target = sink(10);
    await target.writeBytes('a', 2, bytes(4));
    for (const [begin, length] of [[0, 3], [2, 4], [3, 1], [5, 5], [0, 10]] as const) {
      await expect(target.writeBytes('a', begin, bytes(length))).rejects.toThrow('written twice');
    }
  });

  it('refuses to finish with a hole', async () => {
    const target = sink(10);
    await target.writeBytes('a', 0, bytes(4));
    await target.writeBytes('a', 5, bytes(5));
    expect(() => target.finish()).toThrow('tensor a was not written completely');
    await target.writeBytes('a', 4, bytes(1));
    expect(target.finish().specs).toHaveLength(1);
  });

  it('names an unknown tensor, a range outside, a name given twice', async () => {
    await expect(sink(1).writeBytes('b', 0, bytes(1))).rejects.toThrow('no tensor named b');
    await expect(sink(1).writeBytes('a', 1, bytes(1))).rejects.toThrow('bytes 1…2 of 1');
    const spec = { name: 'a', dtype: 'U8', shape: [] } as const;
    expect(() => new MemoryTensorSink([spec, spec])).toThrow('same name');
  });
});
