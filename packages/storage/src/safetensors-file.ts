import { open, type FileHandle } from 'node:fs/promises';
import {
  compareNames,
  headerLength,
  parseHeader,
  SafetensorsError,
  type HeaderLimits,
  type SafetensorsHeader,
  type TensorLocation,
  type TensorPlace,
  type TensorSource,
  type TensorSpec,
} from '@zk0/core';
import { fileError, StorageError } from './errors.ts';
import { readFully } from './io.ts';
import { refusePointer } from './pointer-file.ts';

/** A safetensors file on disk; tensors are read by ranges, so that the file is never in memory whole. */
export class SafetensorsFile implements TensorSource {
  readonly path: string;
  /** Size of the file in bytes. */
  readonly byteLength: number;
  readonly specs: readonly TensorSpec[];
  /** The `__metadata__` map. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly #handle: FileHandle;
  readonly #locations: ReadonlyMap<string, TensorLocation>;

  /** Use {@link openSafetensors}. */
  constructor(path: string, handle: FileHandle, byteLength: number, header: SafetensorsHeader) {
    this.path = path;
    this.byteLength = byteLength;
    this.metadata = header.metadata;
    this.specs = header.tensors
      .map(({ name, dtype, shape }) => ({ name, dtype, shape }))
      .sort((a, b) => compareNames(a.name, b.name));
    this.#handle = handle;
    this.#locations = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
  }

  has(name: string): boolean {
    return this.#locations.has(name);
  }

  /**
   * Dtype, shape and place of a tensor: `begin`/`end` are byte offsets in the file.
   *
   * @throws StorageError `TENSOR_RANGE` when there is none of that name.
   */
  tensorLocation(name: string): TensorLocation {
    const location = this.#locations.get(name);
    if (location === undefined) throw new StorageError('TENSOR_RANGE', `${this.path}: no tensor named ${name}`);
    return location;
  }

  locate(name: string): TensorPlace {
    return { kind: 'file', descriptor: this.#handle.fd, position: this.tensorLocation(name).begin };
  }

  async readBytes(name: string, byteOffset: number, into: Uint8Array): Promise<void> {
    const { begin, end } = this.tensorLocation(name);
    const from = begin + byteOffset;
    if (byteOffset < 0 || from + into.byteLength > end) {
      throw new StorageError(
        'TENSOR_RANGE',
        `${this.path}: tensor ${name}: bytes ${byteOffset}…${byteOffset + into.byteLength} of ${end - begin}`,
      );
    }
    let complete: boolean;
    try {
      complete = await readFully(this.#handle, into, from);
    } catch (error) {
      throw fileError('read', this.path, error);
    }
    if (!complete) throw new SafetensorsError(`the file was cut short while tensor ${name} was read`, { file: this.path });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/**
 * Opens a safetensors file and checks its header; no tensor is read.
 *
 * @param limits - how much of a header is read; core's `headerLimits` has those for files of strangers.
 * @throws StorageError `FILE_NOT_FOUND`, `FILE_UNREADABLE` or `FILE_POINTER`
 * @throws SafetensorsError naming the file, when it is not well formed.
 */
export async function openSafetensors(path: string, limits: HeaderLimits = {}): Promise<SafetensorsFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    throw fileError('read', path, error);
  }
  try {
    const { size } = await handle.stat();
    await refusePointer(path, handle, size);
    const prefix = new Uint8Array(8);
    await readFully(handle, prefix, 0);
    const json = new Uint8Array(headerLength(prefix, size, limits));
    if (!(await readFully(handle, json, 8))) throw new SafetensorsError('the file was cut short while it was opened');
    return new SafetensorsFile(path, handle, size, parseHeader(json, size, limits));
  } catch (error) {
    await handle.close();
    if (error instanceof SafetensorsError) {
      throw new SafetensorsError(error.problem, { hint: error.hint, file: path });
    }
    throw fileError('read', path, error);
  }
}
