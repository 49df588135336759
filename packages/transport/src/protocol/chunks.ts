import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream';

/** So many chunks wait for their reader before the stream is paused; every pause stops the socket, which costs more than a chunk. */
const MAX_WAITING = 16;

/**
 * The chunks of a body as the network brings them, one at a time; a stream's own iterator would join those that wait, by a copy. A reader
 * that stops early leaves the stream paused.
 *
 * @throws what breaks the stream, also when it ends before its time
 */
export async function* receivedChunks(stream: Readable): AsyncGenerator<Uint8Array> {
  const waiting: Uint8Array[] = [];
  let wake = (): void => undefined;
  let end: { readonly error: unknown } | null = null;
  const take = (chunk: Uint8Array): void => {
    waiting.push(chunk);
    if (waiting.length >= MAX_WAITING) stream.pause();
    wake();
  };
  const forget = finished(stream, { writable: false }, (error) => {
    end = { error };
    wake();
  });
  const state = (): typeof end => end;
  stream.on('data', take);
  try {
    for (;;) {
      const chunk = waiting.shift();
      if (chunk !== undefined) {
        yield chunk;
        continue;
      }
      const over = state();
      if (over !== null) {
        if (over.error !== undefined && over.error !== null) throw over.error as Error;
        return;
      }
      const next = new Promise<void>((resolve) => { wake = resolve; });
      stream.resume();
      await next;
    }
  } finally {
    stream.off('data', take).pause();
    forget();
  }
}

/**
 * The same chunks; the memory of each is given back when the next one is asked for.
 *
 * Node makes a buffer for every read of a socket. Left to the garbage collector, they make it go through the whole heap for every 13 MB
 * that pass, which takes up to half of the time of a transfer.
 */
export async function* freed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    yield chunk;
    free(chunk);
  }
}

/** Writes all chunks, each when the one before has left. */
export async function writeChunks(chunks: AsyncIterable<Uint8Array>, to: Writable): Promise<void> {
  for await (const chunk of chunks) {
    await new Promise<void>((resolve, reject) => {
      to.write(chunk, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
  }
}

function free({ buffer, byteLength }: Uint8Array): void {
  // A buffer that holds more than the chunk may be somebody else's too.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
