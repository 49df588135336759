import { createHash, type Hash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { fileError } from './errors.ts';
import { readChunks, writeFully } from './io.ts';

/** What waits in memory to be written: large for a disk, small to lose. */
const GATHER_BYTES = 1 << 18;

/**
 * A file that is arriving from its start on, and the hash of what it holds. It outlives the process: opened again, the hash
 * is made again from what is there.
 */
export class PartialFile {
  readonly path: string;
  /** Size it will have. */
  readonly byteLength: number;
  readonly #createHash: () => Hash;
  #hash: Hash;
  #offset: number;

  private constructor(path: string, byteLength: number, createHash: () => Hash, hash: Hash, offset: number) {
    this.path = path;
    this.byteLength = byteLength;
    this.#createHash = createHash;
    this.#hash = hash;
    this.#offset = offset;
  }

  /**
   * Opens the file, making it if there is none. What is longer than `byteLength` is cut off.
   *
   * @param createHash - of the content; default SHA-256
   * @throws StorageError `FILE_UNWRITABLE`, `DISK_FULL`
   */
  static async open(path: string, byteLength: number, createHash: () => Hash = sha256): Promise<PartialFile> {
    try {
      const handle = await open(path, 'a+');
      try {
        const { size } = await handle.stat();
        if (size > byteLength) await handle.truncate(byteLength);
        const hash = createHash();
        const offset = await readChunks(handle, (chunk) => hash.update(chunk));
        return new PartialFile(path, byteLength, createHash, hash, offset);
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw fileError('write', path, error);
    }
  }

  /** Bytes on disk and in the hash. */
  get offset(): number {
    return this.#offset;
  }

  /** Opens the file for {@link put}; the caller closes the handle. */
  async openHandle(): Promise<FileHandle> {
    return open(this.path, 'r+').catch((error: unknown) => {
      throw fileError('write', this.path, error);
    });
  }

  /** Writes the next bytes. The caller keeps the sum within `byteLength`. @throws StorageError */
  async put(handle: FileHandle, bytes: Uint8Array): Promise<void> {
    // Hashed while the disk is at work; a write that fails leaves the hash as it was.
    const hash = this.#hash.copy();
    const writing = writeFully(handle, bytes, this.#offset);
    hash.update(bytes);
    try {
      await writing;
    } catch (error) {
      throw fileError('write', this.path, error);
    }
    this.#hash = hash;
    this.#offset += bytes.byteLength;
  }

  /** Forgets what is there. */
  async restart(): Promise<void> {
    const handle = await this.openHandle();
    try {
      await handle.truncate(0);
    } catch (error) {
      throw fileError('write', this.path, error);
    } finally {
      await handle.close();
    }
    this.#hash = this.#createHash();
    this.#offset = 0;
  }

  /** Forces what is there to disk. After a failure nobody knows what the disk holds, and a second try would not find out. */
  async sync(handle: FileHandle): Promise<void> {
    try {
      await handle.datasync();
    } catch (error) {
      throw fileError('write', this.path, error);
    }
  }

  /** Hex digest of what is there. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** Hex digest of what is there; the bytes are forced to disk first. */
  async syncedDigest(): Promise<string> {
    const handle = await this.openHandle();
    try {
      await this.sync(handle);
    } finally {
      await handle.close();
    }
    return this.digest();
  }
}

function sha256(): Hash {
  return createHash('sha256');
}

/**
 * Joins network-sized pieces to disk-sized ones: a write costs a hop to a thread, whatever its size. What had arrived
 * before the source failed is handed on before its error is. A piece is valid until the one after the next is asked for: while one is
 * written, the next is filled. Of the source's chunks nothing is kept once the next is asked for.
 *
 * @param byteLength - how much is expected; more is handed on too
 */
export async function* gathered(chunks: AsyncIterable<Uint8Array>, byteLength: number): AsyncGenerator<Uint8Array> {
  const size = Math.min(GATHER_BYTES, Math.max(1, byteLength));
  let buffer = new Uint8Array(size);
  let other: Uint8Array<ArrayBuffer> | undefined;
  let filled = 0;
  let failure: { readonly error: unknown } | undefined;
  try {
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.byteLength;) {
        const part = chunk.subarray(at, at + buffer.byteLength - filled);
        buffer.set(part, filled);
        filled += part.byteLength;
        at += part.byteLength;
        if (filled < buffer.byteLength) continue;
        yield buffer;
        [buffer, other] = [other ?? new Uint8Array(size), buffer];
        filled = 0;
      }
    }
  } catch (error) {
    failure = { error };
  }
  if (filled > 0) yield buffer.subarray(0, filled);
  if (failure !== undefined) throw failure.error;
}
