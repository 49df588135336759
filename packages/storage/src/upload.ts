import type { FileHandle } from 'node:fs/promises';
import type { BlobReference } from '@zk0/core';
import { fileError, StorageError } from './errors.ts';
import { gathered, PartialFile } from './partial-file.ts';

/** So many bytes are forced to disk while the next ones arrive, so that not all of them are left for the end. */
const SYNC_BYTES = 32 << 20;

/** A blob that is arriving; of several appends at once, the newest goes on. */
export class Upload {
  readonly blob: BlobReference;
  readonly path: string;
  /** When it was last touched, in ms since the epoch. */
  touched = Date.now();
  readonly #file: PartialFile;
  /** The append that may write; an older one finds itself replaced. */
  #current: symbol | undefined;
  #write: Promise<void> = Promise.resolve();

  private constructor(blob: BlobReference, file: PartialFile) {
    this.blob = blob;
    this.path = file.path;
    this.#file = file;
  }

  /** Opens the partial file, making it if there is none. What is longer than announced is cut off. */
  static async open(blob: BlobReference, path: string): Promise<Upload> {
    return new Upload(blob, await PartialFile.open(path, blob.byteLength));
  }

  /** Bytes on disk and in the hash. */
  get offset(): number {
    return this.#file.offset;
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
    let writing: Promise<void> | undefined;
    let syncing: Promise<void> | undefined;
    let unsynced = 0;
    try {
      if (offset !== this.offset) {
        throw new StorageError('UPLOAD_OFFSET', `upload ${this.blob.hash} stands at byte ${this.offset}, not ${offset}`);
      }
      handle = await this.#file.openHandle();
      for await (const piece of gathered(chunks)) {
        // The offset is that of what is written: a piece waits for the one before.
        await writing;
        if (this.#current !== turn) {
          throw new StorageError('UPLOAD_TAKEN_OVER', `upload ${this.blob.hash} is continued by a newer request`);
        }
        if (this.offset + piece.byteLength > this.blob.byteLength) {
          throw new StorageError('UPLOAD_TOO_LONG', `upload ${this.blob.hash} was announced with ${this.blob.byteLength} bytes`);
        }
        writing = this.#file.put(handle, piece);
        // Awaited with the next piece: until then a failure waits.
        writing.catch(() => undefined);
        this.#write = writing;
        this.touched = Date.now();
        unsynced += piece.byteLength;
        if (unsynced < SYNC_BYTES) continue;
        await syncing;
        unsynced = 0;
        syncing = sync(handle, this.path);
        syncing.catch(() => undefined);
      }
      await writing;
      // Its failure is told once: a later sync of the same file would not see it.
      await syncing;
      return this.offset;
    } finally {
      if (this.#current === turn) this.#current = undefined;
      await writing?.catch(() => undefined);
      await syncing?.catch(() => undefined);
      await handle?.close();
    }
  }

  /** Hex SHA-256 of what is there; the bytes are forced to disk first. */
  async digest(): Promise<string> {
    await this.#write.catch(() => undefined);
    return this.#file.digest();
  }
}

async function sync(handle: FileHandle, path: string): Promise<void> {
  try {
    await handle.datasync();
  } catch (error) {
    throw fileError('write', path, error);
  }
}
