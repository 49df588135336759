import type { FileHandle } from 'node:fs/promises';
import type { BlobReference } from '@zk0/core';
import { StorageError } from './errors.ts';
import { gathered, PartialFile } from './partial-file.ts';

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
    try {
      if (offset !== this.offset) {
        throw new StorageError('UPLOAD_OFFSET', `upload ${this.blob.hash} stands at byte ${this.offset}, not ${offset}`);
      }
      handle = await this.#file.openHandle();
      for await (const piece of gathered(chunks)) {
        if (this.#current !== turn) {
          throw new StorageError('UPLOAD_TAKEN_OVER', `upload ${this.blob.hash} is continued by a newer request`);
        }
        if (this.offset + piece.byteLength > this.blob.byteLength) {
          throw new StorageError('UPLOAD_TOO_LONG', `upload ${this.blob.hash} was announced with ${this.blob.byteLength} bytes`);
        }
        this.#write = this.#file.put(handle, piece);
        await this.#write;
        this.touched = Date.now();
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
    return this.#file.digest();
  }
}
