import type { FileHandle } from 'node:fs/promises';
import type { BlobReference } from '@zk0/core';
import { StorageError } from './errors.ts';
import { gathered, PartialFile } from './partial-file.ts';

/** So many bytes are forced to disk while the next ones arrive, so that not all of them are left for the end. */
const SYNC_BYTES = 16 << 20;

/** A blob that is arriving; of several appends at once, the newest goes on. */
export class Upload {
  readonly blob: BlobReference;
  readonly path: string;
  /** When it was last touched, in ms since the epoch. */
  touched = Date.now();
  readonly #file: PartialFile;
  readonly #durable: boolean;
  /** The append that may write; an older one finds itself replaced. */
  #current: symbol | undefined;
  #write: Promise<void> = Promise.resolve();
  /** Goes on beside the appends: the end of one does not wait for the disk. */
  #sync: Promise<void> = Promise.resolve();
  #isSyncing = false;
  #unsynced = 0;

  private constructor(blob: BlobReference, file: PartialFile, durable: boolean) {
    this.blob = blob;
    this.path = file.path;
    this.#file = file;
    this.#durable = durable;
  }

  /** Opens the partial file, making it if there is none. What is longer than announced is cut off. */
  static async open(blob: BlobReference, path: string, durable: boolean): Promise<Upload> {
    return new Upload(blob, await PartialFile.open(path, blob.byteLength), durable);
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
    try {
      if (offset !== this.offset) {
        throw new StorageError('UPLOAD_OFFSET', `upload ${this.blob.hash} stands at byte ${this.offset}, not ${offset}`);
      }
      handle = await this.#file.openHandle();
      for await (const piece of gathered(chunks, this.blob.byteLength - offset)) {
        // The offset is that of what is written: a piece waits for the one before.
        await writing;
        if (this.#current !== turn) {
          throw new StorageError('UPLOAD_TAKEN_OVER', `upload ${this.blob.hash} is continued by a newer request`);
        }
        if (this.offset + piece.byteLength > this.blob.byteLength) {
          throw new StorageError('UPLOAD_TOO_LONG', `upload ${this.blob.hash} was announced with ${this.blob.byteLength} bytes`);
        }
        if (this.#durable && this.#unsynced >= SYNC_BYTES) {
          await this.#synced();
          this.#beginSync(handle);
        }
        writing = this.#file.put(handle, piece);
        // Awaited with the next piece: until then a failure waits.
        writing.catch(() => undefined);
        this.#write = writing;
        this.#unsynced += piece.byteLength;
        this.touched = Date.now();
      }
      await writing;
      return this.offset;
    } finally {
      if (this.#current === turn) this.#current = undefined;
      await writing?.catch(() => undefined);
      const closing = this.#sync.catch(() => undefined).then(() => handle?.close());
      if (this.#isSyncing) closing.catch(() => undefined);
      else await closing;
    }
  }

  /** Hex SHA-256 of what is there; where the store is durable, the bytes are forced to disk first. */
  async digest(): Promise<string> {
    await this.#write.catch(() => undefined);
    if (!this.#durable) return this.#file.digest();
    await this.#synced();
    const handle = await this.#file.openHandle();
    try {
      this.#beginSync(handle);
      await this.#synced();
    } finally {
      await handle.close();
    }
    return this.#file.digest();
  }

  #beginSync(handle: FileHandle): void {
    this.#unsynced = 0;
    this.#isSyncing = true;
    this.#sync = this.#file.sync(handle).finally(() => { this.#isSyncing = false; });
    // Awaited before the next one, and at the end: until then a failure waits.
    this.#sync.catch(() => undefined);
  }

  /** Waits for the sync under way. When it fails, nobody knows what the disk holds: the upload begins anew. */
  async #synced(): Promise<void> {
    try {
      await this.#sync;
    } catch (error) {
      this.#sync = Promise.resolve();
      this.#unsynced = 0;
      await this.#file.restart();
      throw error;
    }
  }
}
