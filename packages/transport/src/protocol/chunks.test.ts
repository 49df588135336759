import { PassThrough, Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { freed, receivedChunks, writeChunks } from './chunks.ts';

/** Chunks that own their memory, as the network's do. */
const owned = (...values: number[]): Uint8Array[] => values.map((value) => new Uint8Array(4).fill(value));

async function* each(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    await turn();
    yield chunk;
  }
}

describe('received chunks', () => {
  it('come one at a time, also those that waited, and end with the stream', async () => {
    const stream = new PassThrough();
    for (const chunk of owned(1, 2, 3)) stream.write(chunk);
    const seen: number[] = [];
    for await (const chunk of receivedChunks(stream)) {
      seen.push(chunk[0]!);
      if (seen.length === 3) stream.end(owned(4)[0]);
      await turn();
    }
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(stream.listenerCount('data')).toBe(0);
  });

  it('of a stream that ended before are none', async () => {
    const stream = new PassThrough();
    stream.end();
    for await (const chunk of receivedChunks(stream)) throw new Error(`there was ${chunk.byteLength}`);
  });

  it.each([
    ['breaks', new Error('the line broke'), 'the line broke'],
    ['is closed before its end', undefined, 'Premature close'],
  ])('throw when the stream %s, after what had come', async (_what, error, message) => {
    const stream = new PassThrough();
    stream.write(owned(1)[0]);
    const seen: number[] = [];
    const read = async (): Promise<void> => {
      for await (const chunk of receivedChunks(stream)) {
        seen.push(chunk[0]!);
        stream.destroy(error);
      }
    };
    await expect(read()).rejects.toThrow(message);
    expect(seen).toEqual([1]);
  });

  it('leave a stream whose reader stops early paused, and open', async () => {
    const stream = new PassThrough();
    for (const chunk of owned(1, 2)) stream.write(chunk);
    for await (const chunk of receivedChunks(stream)) {
      expect(chunk[0]).toBe(1);
      break;
    }
    expect(stream.isPaused()).toBe(true);
    expect(stream.destroyed).toBe(false);
  });
});

describe('the memory of a chunk', () => {
  it('is given back when the next one is asked for, and not before', async () => {
    const chunks = owned(1, 2);
    const sizes: number[] = [];
    for await (const chunk of freed(each(chunks))) {
      await turn();
      sizes.push(chunk.byteLength);
    }
    expect(sizes).toEqual([4, 4]);
    expect(chunks.map(({ byteLength }) => byteLength)).toEqual([0, 0]);
  });

  it('stays where others may use it', async () => {
    const all = new Uint8Array(8);
    for await (const chunk of freed(each([all.subarray(0, 4), all.subarray(4)]))) expect(chunk.byteLength).toBe(4);
    expect(all.byteLength).toBe(8);
  });

  it('may be used again once it has been written', async () => {
    const written: number[] = [];
    const slow = new Writable({
      highWaterMark: 1000,
      write(chunk: Uint8Array, _encoding, done) {
        setImmediate(() => {
          written.push(chunk[0]!);
          done();
        });
      },
    });
    const memory = new Uint8Array(4);
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (const value of [1, 2, 3]) {
        await turn();
        yield memory.fill(value);
      }
    }
    await writeChunks(chunks(), slow);
    expect(written).toEqual([1, 2, 3]);
  });

  it('and a failed write ends the writing', async () => {
    const broken = new Writable({ write: (_chunk, _encoding, done) => { done(new Error('gone')); } });
    broken.on('error', () => undefined);
    await expect(writeChunks(each(owned(1, 2)), broken)).rejects.toThrow('gone');
  });
});
