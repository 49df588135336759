import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import type { BlobReference } from '@zk0/core';
import { fileError } from './errors.ts';
import { readChunks } from './io.ts';

/** From here on hashing takes longer than to start a thread for it. */
const APART_BYTES = 32 << 20;

/** What the thread answers: the hash, or the error of the operating system in parts that travel. */
export type HashReply = BlobReference | { readonly message: string; readonly code: string | undefined };

/**
 * SHA-256 (hex) and size of a file, read in pieces. A large file is hashed on a thread of its own, so that the calling one stays free.
 *
 * @throws StorageError when the file cannot be read.
 */
export async function hashFile(path: string): Promise<BlobReference> {
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      if (size >= APART_BYTES) return await hashApart(path);
      const hash = createHash('sha256');
      const byteLength = await readChunks(handle, (chunk) => hash.update(chunk));
      return { hash: hash.digest('hex'), byteLength };
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError('read', path, error);
  }
}

function hashApart(path: string): Promise<BlobReference> {
  // Unbuilt, this file and the worker are TypeScript side by side; built, both are chunks in one folder.
  const worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './hash-worker.ts' : './hash-worker.js', import.meta.url), { workerData: path });
  return new Promise((resolve, reject) => {
    worker.once('message', (reply: HashReply) => {
      if ('hash' in reply) resolve(reply);
      else reject(Object.assign(new Error(reply.message), { code: reply.code }));
    });
    worker.once('error', reject);
    worker.once('exit', () => {
      reject(new Error('the thread that hashes it ended'));
    });
  });
}
