import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, stat, statfs, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { errorMessage } from '@zk0/core';
import { PolicyError } from '../errors.ts';

/** Room for the header's JSON; also the offset of the first record. */
const HEADER_BYTES = 4096;
/** Behind each record: its CRC-32, then the marker that says it was written. */
const TRAILER_BYTES = 8;
const MARKER = 0x7a6b3072;

/** What a file of records is for; two files with different layouts never share a path. */
export interface RecordLayout {
  /** Everything that the records depend on; kept in the header. */
  readonly key: Readonly<Record<string, unknown>>;
  readonly count: number;
  readonly recordBytes: number;
}

/** Size of a complete file. */
export function recordFileBytes({ count, recordBytes }: Pick<RecordLayout, 'count' | 'recordBytes'>): number {
  return HEADER_BYTES + count * (recordBytes + TRAILER_BYTES);
}

/**
 * Records of one size in one sparse file, each with a checksum, filled in any order by any number of processes.
 *
 * A record that is not there, or that a crash or two writers left half-written, fails its checksum and counts as absent:
 * no locks are needed, and filling resumes where it stopped. A header that is not this layout's is thrown away with
 * everything behind it.
 */
export class RecordFile {
  readonly path: string;
  readonly #layout: RecordLayout;
  readonly #handle: FileHandle;

  private constructor(path: string, layout: RecordLayout, handle: FileHandle) {
    this.path = path;
    this.#layout = layout;
    this.#handle = handle;
  }

  /** @throws PolicyError CACHE_UNUSABLE, CACHE_FULL */
  static async open(path: string, layout: RecordLayout): Promise<RecordFile> {
    try {
      await mkdir(dirname(path), { recursive: true });
      const handle = await open(path, 'r+').catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      });
      if (handle !== undefined) {
        if (await hasHeader(handle, layout)) return new RecordFile(path, layout, handle);
        await handle.close();
      }
      return new RecordFile(path, layout, await create(path, layout));
    } catch (error) {
      throw cacheError(path, error);
    }
  }

  /** Whether a record has been written; its checksum is not looked at. */
  async isMarked(index: number): Promise<boolean> {
    const trailer = new Uint8Array(TRAILER_BYTES);
    await this.#read(trailer, this.#offset(index) + this.#layout.recordBytes);
    return new DataView(trailer.buffer).getUint32(4, true) === MARKER;
  }

  /** Memory for {@link read}, to be used again and again. */
  scratch(): Uint8Array {
    return new Uint8Array(this.#layout.recordBytes + TRAILER_BYTES);
  }

  /**
   * Reads a record; `undefined` when it is absent or damaged.
   *
   * @param bytes where it is read to; what is returned is a view of it
   */
  async read(index: number, bytes = this.scratch()): Promise<Uint8Array | undefined> {
    const { recordBytes } = this.#layout;
    await this.#read(bytes, this.#offset(index));
    const trailer = new DataView(bytes.buffer, recordBytes);
    const record = bytes.subarray(0, recordBytes);
    return trailer.getUint32(4, true) === MARKER && trailer.getUint32(0, true) === crc32(record) ? record : undefined;
  }

  /**
   * Writes a record of exactly `recordBytes`.
   *
   * @throws PolicyError CACHE_FULL
   */
  async write(index: number, record: Uint8Array): Promise<void> {
    const bytes = new Uint8Array(record.byteLength + TRAILER_BYTES);
    bytes.set(record);
    const trailer = new DataView(bytes.buffer, record.byteLength);
    trailer.setUint32(0, crc32(record), true);
    trailer.setUint32(4, MARKER, true);
    try {
      let done = 0;
      while (done < bytes.byteLength) {
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.byteLength - done, this.#offset(index) + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw cacheError(this.path, error);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  #offset(index: number): number {
    return HEADER_BYTES + index * (this.#layout.recordBytes + TRAILER_BYTES);
  }

  async #read(into: Uint8Array, position: number): Promise<void> {
    try {
      let done = 0;
      while (done < into.byteLength) {
        const { bytesRead } = await this.#handle.read(into, done, into.byteLength - done, position + done);
        if (bytesRead === 0) return;
        done += bytesRead;
      }
    } catch (error) {
      throw cacheError(this.path, error);
    }
  }
}

/** Bytes that files of one directory may grow to: what is free on its disk, and what they have already. */
export async function roomFor(directory: string, names: readonly string[]): Promise<number> {
  try {
    await mkdir(directory, { recursive: true });
    const { bavail, bsize } = await statfs(directory);
    const taken = await Promise.all(names.map((name) => stat(join(directory, name)).then(({ blocks }) => blocks, () => 0)));
    return bavail * bsize + 512 * taken.reduce((sum, blocks) => sum + blocks, 0);
  } catch (error) {
    throw cacheError(directory, error);
  }
}

async function hasHeader(handle: FileHandle, layout: RecordLayout): Promise<boolean> {
  const found = new Uint8Array(HEADER_BYTES);
  const { bytesRead } = await handle.read(found, 0, HEADER_BYTES, 0);
  const { size } = await handle.stat();
  return bytesRead === HEADER_BYTES && size === recordFileBytes(layout) && Buffer.compare(found, header(layout)) === 0;
}

/** Makes the file under a name of its own first, so that no other process meets half a header. */
async function create(path: string, layout: RecordLayout): Promise<FileHandle> {
  const temporary = `${path}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`;
  const handle = await open(temporary, 'wx+');
  try {
    await handle.write(header(layout), 0, HEADER_BYTES, 0);
    await handle.truncate(recordFileBytes(layout));
    await rename(temporary, path);
    return handle;
  } catch (error) {
    await handle.close();
    await rm(temporary, { force: true });
    throw error;
  }
}

function header(layout: RecordLayout): Uint8Array {
  const text = Buffer.from(`zk0 records\n${JSON.stringify(layout, null, 1)}\n`);
  if (text.byteLength > HEADER_BYTES) throw new RangeError(`the key of a record file has ${text.byteLength} bytes`);
  const bytes = new Uint8Array(HEADER_BYTES);
  bytes.set(text);
  return bytes;
}

function cacheError(path: string, error: unknown): PolicyError {
  if (error instanceof PolicyError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new PolicyError('CACHE_FULL', `no room left for ${path}`, {
      cause: error,
      hint: 'Free some disk, or use --cache vision or --cache off.',
    });
  }
  return new PolicyError('CACHE_UNUSABLE', `${path}: ${errorMessage(error)}`, {
    cause: error,
    hint: 'Check that the cache directory can be written, or use --cache off.',
  });
}
