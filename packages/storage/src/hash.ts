import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { BlobReference } from '@zk0/core';
import { fileError } from './errors.ts';
import { readChunks } from './io.ts';

/**
 * SHA-256 (hex) and size of a file, read in pieces.
 *
 * @throws StorageError when the file cannot be read.
 */
export async function hashFile(path: string): Promise<BlobReference> {
  try {
    const handle = await open(path, 'r');
    try {
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
