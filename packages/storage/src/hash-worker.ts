/** A thread's entry: hashes the file named by `workerData` and ends. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { HashReply } from './hash.ts';

const CHUNK_BYTES = 1 << 20;

function hash(path: string): HashReply {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    const digest = createHash('sha256');
    const chunk = new Uint8Array(CHUNK_BYTES);
    let byteLength = 0;
    for (;;) {
      const read = readSync(descriptor, chunk, 0, CHUNK_BYTES, byteLength);
      if (read === 0) return { hash: digest.digest('hex'), byteLength };
      digest.update(chunk.subarray(0, read));
      byteLength += read;
    }
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return { message, code };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

parentPort?.postMessage(hash(workerData as string));
