import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobReference } from '@zk0/core';
import { StorageError, type CollectReport } from '@zk0/storage';
import type { EngineBlobs } from './engine-blobs.ts';

/** Blobs in this process's memory, for federations that need not outlive it. A blob becomes a file when somebody asks for one. */
export class MemoryBlobs implements EngineBlobs {
  readonly #bytes = new Map<string, Uint8Array>();
  readonly #directory: string;

  /** @param directory where files are made for those who want one; the caller removes it at the end. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  inMemory(hash: string): Uint8Array | undefined {
    return this.#bytes.get(hash);
  }

  size(hash: string): Promise<number | null> {
    return Promise.resolve(this.#bytes.get(hash)?.byteLength ?? null);
  }

  put(bytes: Uint8Array): Promise<BlobReference> {
    const hash = createHash('sha256').update(bytes).digest('hex');
    this.#bytes.set(hash, bytes);
    return Promise.resolve({ hash, byteLength: bytes.byteLength });
  }

  async putFile(path: string): Promise<BlobReference> {
    return this.put(await readFile(path));
  }

  /** @throws StorageError `BLOB_NOT_FOUND` */
  async localFile({ hash }: BlobReference): Promise<string> {
    const bytes = this.#bytes.get(hash);
    if (bytes === undefined) throw new StorageError('BLOB_NOT_FOUND', `there is no blob ${hash} in memory`);
    await mkdir(this.#directory, { recursive: true });
    // One file is enough: whoever asked for the one before has read it.
    const path = join(this.#directory, 'blob.safetensors');
    await writeFile(path, bytes);
    return path;
  }

  verifiedFile(blob: BlobReference): Promise<string> {
    return this.localFile(blob);
  }

  /** Whatever their age: bytes are in the store only when their upload is complete. */
  collect(keep: ReadonlySet<string>): Promise<CollectReport> {
    let [removed, bytes] = [0, 0];
    for (const [hash, blob] of this.#bytes) {
      if (keep.has(hash)) continue;
      this.#bytes.delete(hash);
      removed++;
      bytes += blob.byteLength;
    }
    return Promise.resolve({ removed, bytes });
  }
}
