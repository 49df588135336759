import { createHash } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  byteLength,
  claimRange,
  compareNames,
  coversAll,
  DTYPE_BYTES,
  encodeHeader,
  SafetensorsError,
  type BlobReference,
  type ByteRanges,
  type TensorSink,
  type TensorSpec,
} from '@zk0/core';
import { syncDirectory } from './atomic.ts';
import { fileError, StorageError } from './errors.ts';
import { readChunks, writeFully } from './io.ts';
import { temporaryPath } from './temporary.ts';

interface Target {
  readonly spec: TensorSpec;
  readonly begin: number;
  readonly size: number;
  readonly written: ByteRanges;
}

/**
 * A safetensors file in the making. Tensors are written in any order and by pieces, every byte exactly once; the file
 * appears under its name with {@link commit}, complete, or never.
 */
export class SafetensorsWriter implements TensorSink {
  readonly path: string;
  readonly specs: readonly TensorSpec[];
  readonly #temporary: string;
  readonly #handle: FileHandle;
  readonly #targets: ReadonlyMap<string, Target>;
  readonly #fileSize: number;
  readonly #header: Uint8Array;
  readonly #durable: boolean;
  #hash = createHash('sha256');
  /** Up to here the hash covers the file; bytes that arrive elsewhere first make `commit` read the file again. */
  #hashed = 0;
  #writing = 0;
  #state: 'open' | 'failed' | 'closed' = 'open';

  /** Use {@link createSafetensors}. */
  constructor(path: string, temporary: string, handle: FileHandle, specs: readonly TensorSpec[], header: Uint8Array, durable: boolean) {
    this.path = path;
    this.#temporary = temporary;
    this.#handle = handle;
    this.specs = [...specs].sort((a, b) => compareNames(a.name, b.name));
    const targets = new Map<string, Target>();
    let position = header.byteLength;
    for (const spec of specs) {
      targets.set(spec.name, { spec, begin: position, size: byteLength(spec), written: [] });
      position += byteLength(spec);
    }
    this.#targets = targets;
    this.#fileSize = position;
    this.#header = header;
    this.#durable = durable;
    this.#hashHeader();
  }

  /**
   * @throws StorageError `TENSOR_RANGE` for an unknown tensor or bytes outside it, `TENSORS_INCOMPLETE` for bytes that
   * were written before, `DISK_FULL` or `FILE_UNWRITABLE`.
   */
  async writeBytes(name: string, byteOffset: number, bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    const target = this.#targets.get(name);
    if (target === undefined) throw new StorageError('TENSOR_RANGE', `${this.path}: no tensor named ${name} was declared`);
    const end = byteOffset + bytes.byteLength;
    if (byteOffset < 0 || end > target.size) {
      throw new StorageError('TENSOR_RANGE', `${this.path}: tensor ${name}: bytes ${byteOffset}…${end} of ${target.size}`);
    }
    if (!claimRange(target.written, byteOffset, end)) {
      throw new StorageError('TENSORS_INCOMPLETE', `${this.path}: tensor ${name}: bytes ${byteOffset}…${end} are written twice`);
    }
    const position = target.begin + byteOffset;
    if (position === this.#hashed) {
      this.#hash.update(bytes);
      this.#hashed += bytes.byteLength;
    }
    this.#writing++;
    try {
      await writeFully(this.#handle, bytes, position);
    } catch (error) {
      this.#state = 'failed';
      throw fileError('write', this.path, error);
    } finally {
      this.#writing--;
    }
  }

  /** @throws StorageError `TENSORS_INCOMPLETE` while a write is under way, or after one failed. */
  restart(): void {
    this.#assertOpen();
    if (this.#writing > 0) throw new StorageError('TENSORS_INCOMPLETE', `${this.path}: a write was not awaited`);
    for (const { written } of this.#targets.values()) written.length = 0;
    this.#hash = createHash('sha256');
    this.#hashHeader();
  }

  /**
   * Checks that every byte was written, forces the file to disk where it is to be durable, and gives it its name.
   *
   * @returns hash and size of the file.
   * @throws StorageError `TENSORS_INCOMPLETE` naming a tensor with missing bytes; the writer stays open.
   */
  async commit(): Promise<BlobReference> {
    this.#assertOpen();
    for (const { spec, size, written } of this.#targets.values()) {
      if (!coversAll(written, size)) {
        throw new StorageError('TENSORS_INCOMPLETE', `${this.path}: tensor ${spec.name} was not written completely`);
      }
    }
    if (this.#writing > 0) throw new StorageError('TENSORS_INCOMPLETE', `${this.path}: a write was not awaited`);
    this.#state = 'closed';
    try {
      if (this.#durable) await this.#handle.sync();
      const hash = this.#hashed === this.#fileSize ? this.#hash.digest('hex') : await this.#rehash();
      await this.#handle.close();
      await rename(this.#temporary, this.path);
      if (this.#durable) await syncDirectory(dirname(this.path));
      return { hash, byteLength: this.#fileSize };
    } catch (error) {
      await this.#discard();
      throw fileError('write', this.path, error);
    }
  }

  /** Gives up: nothing stays on disk. Does nothing after {@link commit}. */
  async abort(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    await this.#discard();
  }

  #hashHeader(): void {
    this.#hash.update(this.#header);
    this.#hashed = this.#header.byteLength;
  }

  #assertOpen(): void {
    if (this.#state === 'open') return;
    const why = this.#state === 'failed' ? 'an earlier write failed' : 'it was committed or aborted';
    throw new StorageError('TENSORS_INCOMPLETE', `${this.path}: nothing more can be written, ${why}`);
  }

  async #rehash(): Promise<string> {
    const hash = createHash('sha256');
    await readChunks(this.#handle, (chunk) => hash.update(chunk));
    return hash.digest('hex');
  }

  async #discard(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    await rm(this.#temporary, { force: true });
  }
}

/** How a safetensors file is written. */
export interface SafetensorsWriteOptions {
  /**
   * The `__metadata__` map.
   * @default { format: 'pt' }
   */
  readonly metadata?: Readonly<Record<string, string>>;
  /**
   * False for a file that a store of blobs takes over, which forces it to disk itself: it saves two waits for the disk.
   * @default true
   */
  readonly durable?: boolean;
}

/**
 * Starts a safetensors file with the given tensors. They are laid out widest dtype first, then by name, as the
 * format's reference implementation does (so that every tensor is aligned); F32 alone gives the canonical parameter file.
 *
 * @throws SafetensorsError when two tensors have one name; StorageError when the file cannot be made.
 */
export async function createSafetensors(
  path: string,
  specs: readonly TensorSpec[],
  { metadata, durable = true }: SafetensorsWriteOptions = {},
): Promise<SafetensorsWriter> {
  const layout = [...specs].sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || compareNames(a.name, b.name));
  const header = encodeHeader(layout, metadata);
  const size = layout.reduce((sum, spec) => sum + byteLength(spec), header.byteLength);
  if (!Number.isSafeInteger(size)) throw new SafetensorsError('the declared tensors have impossible sizes', { file: path });
  const temporary = temporaryPath(path);
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx+');
    await writeFully(handle, header, 0);
    return new SafetensorsWriter(path, temporary, handle, layout, header, durable);
  } catch (error) {
    await handle?.close();
    await rm(temporary, { force: true });
    throw fileError('write', path, error);
  }
}
