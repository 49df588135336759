import { createHash, type Hash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import type { BlobReference } from '@zk0/core';
import { fileError, StorageError } from './errors.ts';
import { readChunks, writeFully } from './io.ts';

/** What waits in memory to be written, and is sent again when a newer request takes over: large for a disk, small to lose. */
const GATHER_BYTES = 1 << 18;

/**
 * A blob that is arriving: a partial file and the hash of what it holds. The file outlives the process; the hash is made
 * again from it.
 */
export class Upload {
  readonly blob: BlobReference;
  readonly path: string;
  /** Bytes on disk and in the hash. */
  offset: number;
  /** When it was last touched, in ms since the epoch. */
  touched = Date.now();
  readonly #hash: Hash;
  /** The append that may write; an older one finds itself replaced. */
  #current: symbol | undefined;
  #write: Promise<void> = Promise.resolve();

  private constructor(blob: BlobReference, path: string, hash: Hash, offset: number) {
    this.blob = blob;
    this.path = path;
    this.#hash = hash;
    this.offset = offset;
  }

  /** Opens the partial file, making it if there is none. What is longer than announced is cut off. */
  static async open(blob: BlobReference, path: string): Promise<Upload> {
    try {
      const handle = await open(path, 'a+');
      try {
        const { size } = await handle.stat();
        if (size > blob.byteLength) await handle.truncate(blob.byteLength);
        const hash = createHash('sha256');
        const offset = await readChunks(handle, (chunk) => hash.update(chunk));
        return new Upload(blob, path, hash, offset);
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw fileError('write', path, error);
    }
  }

  get isActive(): boolean {
    return this.#current !== undefined;
  }

  async append(offset: number, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const turn = Symbol();
    this.#current = turn;
    // A write of the append before is in the kernel's hands: it must land before the offset means anything.
    await this.#write.catch(() => undefined);
    let handle: FileHandle | undefined;
    try {
      if (offset !== this.offset) {
        throw new StorageError('UPLOAD_OFFSET', `upload ${this.blob.hash} stands at byte ${this.offset}, not ${offset}`);
      }
      handle = await open(this.path, 'r+').catch((error: unknown) => {
        throw fileError('write', this.path, error);
      });
      for await (const piece of gathered(chunks)) {
        if (this.#current !== turn) {
          throw new StorageError('UPLOAD_TAKEN_OVER', `upload ${this.blob.hash} is continued by a newer request`);
        }
        if (this.offset + piece.byteLength > this.blob.byteLength) {
          throw new StorageError('UPLOAD_TOO_LONG', `upload ${this.blob.hash} was announced with ${this.blob.byteLength} bytes`);
        }
        this.#write = this.#put(handle, piece);
        await this.#write;
      }
      return this.offset;
    } finally {
      if (this.#current === turn) this.#current = undefined;
      await handle?.close();
    }
  }

  /** Hex SHA-256 of what is there; the bytes are forced to disk first. */
  async digest(): Promise<string> {
    await this.#write.catch(() => undefined);
    try {
      const handle = await open(this.path, 'r+');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw fileError('write', this.path, error);
    }
    return this.#hash.copy().digest('hex');
  }

  async #put(handle: FileHandle, bytes: Uint8Array): Promise<void> {
    try {
      await writeFully(handle, bytes, this.offset);
    } catch (error) {
      throw fileError('write', this.path, error);
    }
    this.#hash.update(bytes);
    this.offset += bytes.byteLength;
    this.touched = Date.now();
  }
}

/**
 * Joins network-sized pieces to disk-sized ones: a write costs a hop to a thread, whatever its size. What had arrived
 * before the source failed is handed on before its error is.
 */
async function* gathered(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(GATHER_BYTES);
  let filled = 0;
  let failure: { readonly error: unknown } | undefined;
  try {
    for await (const chunk of chunks) {
      if (filled + chunk.byteLength > buffer.byteLength) {
        if (filled > 0) yield buffer.subarray(0, filled);
        filled = 0;
        if (chunk.byteLength > buffer.byteLength) {
          yield chunk;
          continue;
        }
      }
      buffer.set(chunk, filled);
      filled += chunk.byteLength;
    }
  } catch (error) {
    failure = { error };
  }
  if (filled > 0) yield buffer.subarray(0, filled);
  if (failure !== undefined) throw failure.error;
}
