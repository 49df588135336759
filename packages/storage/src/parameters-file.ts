import { createHash } from 'node:crypto';
import {
  compareNames,
  decodeBfloat16,
  decodeFloat16,
  elementCount,
  encodeHeader,
  SafetensorsError,
  type BlobReference,
  type Float32Tensor,
  type Parameters,
  type TensorSource,
  type TensorSpec,
} from '@zk0/core';
import { writeAtomically } from './atomic.ts';
import { StorageError } from './errors.ts';
import { CHUNK_BYTES, writeFully } from './io.ts';
import { openSafetensors } from './safetensors-file.ts';

/** Where parameters are read into. */
export interface ReadParametersOptions {
  /** Into `SharedArrayBuffer`s, which worker threads see too; ordinary memory by default. */
  readonly shared?: boolean;
}

/**
 * Reads a whole parameter set into memory: F32 as it is, BF16 and F16 widened exactly.
 *
 * @throws StorageError `TENSOR_DTYPE` for any other dtype; errors of {@link openSafetensors}.
 */
export async function readParameters(from: string | TensorSource, options: ReadParametersOptions = {}): Promise<Parameters> {
  if (typeof from !== 'string') return readAll(from, options);
  const file = await openSafetensors(from);
  try {
    return await readAll(file, options);
  } finally {
    await file.close();
  }
}

/**
 * Writes a parameter set atomically, in the canonical bytes of core's `encodeParameters`, without a second copy of it
 * in memory.
 *
 * @returns hash and size of the file; the hash equals core's `hashParameters`.
 */
export async function writeParameters(path: string, parameters: Parameters): Promise<BlobReference> {
  const specs: TensorSpec[] = [...parameters]
    .map(([name, { shape }]) => ({ name, dtype: 'F32' as const, shape }))
    .sort((a, b) => compareNames(a.name, b.name));
  for (const { name, shape } of specs) {
    const { length } = parameters.get(name)!.data;
    if (length !== elementCount(shape)) {
      throw new SafetensorsError(`tensor ${name} has ${length} values, its shape needs ${elementCount(shape)}`);
    }
  }
  return writeAtomically(path, async (handle) => {
    const hash = createHash('sha256');
    let position = 0;
    const append = async (bytes: Uint8Array): Promise<void> => {
      hash.update(bytes);
      await writeFully(handle, bytes, position);
      position += bytes.byteLength;
    };
    await append(encodeHeader(specs));
    for (const { name } of specs) {
      const { buffer, byteOffset, byteLength } = parameters.get(name)!.data;
      await append(new Uint8Array(buffer, byteOffset, byteLength));
    }
    return { hash: hash.digest('hex'), byteLength: position };
  });
}

async function readAll(source: TensorSource, { shared = false }: ReadParametersOptions): Promise<Parameters> {
  const parameters = new Map<string, Float32Tensor>();
  for (const spec of source.specs) {
    const bytes = 4 * elementCount(spec.shape);
    const data = new Float32Array(shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
    await readTensor(source, spec, data);
    parameters.set(spec.name, { shape: spec.shape, data });
  }
  return parameters;
}

async function readTensor(source: TensorSource, { name, dtype }: TensorSpec, data: Float32Array): Promise<void> {
  if (dtype === 'F32') {
    await source.readBytes(name, 0, new Uint8Array(data.buffer));
    return;
  }
  if (dtype !== 'BF16' && dtype !== 'F16') {
    throw new StorageError('TENSOR_DTYPE', `tensor ${name} is ${dtype}; parameters are F32, BF16 or F16`);
  }
  const widen = dtype === 'BF16' ? decodeBfloat16 : decodeFloat16;
  const bits = new Uint16Array(Math.min(data.length, CHUNK_BYTES));
  for (let begin = 0; begin < data.length; begin += bits.length) {
    const piece = bits.subarray(0, Math.min(bits.length, data.length - begin));
    await source.readBytes(name, begin * 2, new Uint8Array(piece.buffer, 0, piece.byteLength));
    widen(piece, data.subarray(begin, begin + piece.length));
  }
}
