/**
 * The safetensors format (https://github.com/huggingface/safetensors): 8 bytes little-endian header length, a JSON
 * header, then the tensors' bytes. This file is pure: bytes in, bytes out. Files are `@zk0/storage`'s concern.
 */
import { Zk0Error } from '../errors.ts';
import { byteLength, DTYPE_BYTES, type Dtype, type TensorSpec } from './dtype.ts';
import { readHeaderText, type ClaimedTensor, type HeaderText } from './header-text.ts';

/** Headers above this are refused before they are read: room for `MAX_TENSORS`. */
export const MAX_HEADER_BYTES = 25_000_000;
/** Model tensors have at most a handful of axes; more means a hostile file. */
export const MAX_RANK = 16;
/** Room for any real model's tensor count, small enough that a hostile header cannot exhaust memory. */
export const MAX_TENSORS = 200_000;
export const MAX_NAME_LENGTH = 1024;

/** Where a {@link SafetensorsError} was found, and what to do about it. */
export interface SafetensorsErrorOptions {
  readonly hint?: string | undefined;
  readonly file?: string;
}

/** A safetensors header or body that does not hold what it claims. */
export class SafetensorsError extends Zk0Error {
  declare readonly code: 'SAFETENSORS_INVALID';
  /** What is wrong; the message also says where. */
  readonly problem: string;

  constructor(problem: string, { hint = 'Download or write the file again; it is damaged or was never complete.', file }: SafetensorsErrorOptions = {}) {
    super('SAFETENSORS_INVALID', `safetensors: ${file === undefined ? '' : `${file}: `}${problem}`, { hint });
    this.problem = problem;
  }
}

/** A tensor's place: `begin`/`end` are byte offsets from the start of the file. */
export interface TensorLocation extends TensorSpec {
  readonly begin: number;
  readonly end: number;
}

/** How much of a header is read; see {@link headerLimits} where it is known what the file should hold. */
export interface HeaderLimits {
  /** {@link MAX_HEADER_BYTES} by default. */
  readonly maxHeaderBytes?: number;
  /** `MAX_TENSORS` by default. */
  readonly maxTensors?: number;
}

/** Tensors that an encoding may have for one of the parameters. */
const FORMS = 3;

/**
 * Limits for a file from a stranger that should hold these tensors: each may have two more beside it (scales, and sizes of what is
 * compressed), and a little is left for metadata. A hostile header then costs no more than an honest one.
 */
export function headerLimits(specs: readonly TensorSpec[]): HeaderLimits {
  // A character of a name takes up to 6 bytes, a size up to 17, the rest of an entry less than 200.
  const bytes = specs.reduce((sum, { name, shape }) => sum + FORMS * (6 * name.length + 17 * shape.length + 200), 0);
  return { maxHeaderBytes: bytes + 65_536, maxTensors: FORMS * specs.length + 16 };
}

/** A parsed and checked header. */
export interface SafetensorsHeader {
  /** In the order of their bytes in the file. */
  readonly tensors: readonly TensorLocation[];
  /** The `__metadata__` map. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Where the first tensor's bytes start. */
  readonly dataStart: number;
}

/** A tensor with its little-endian bytes. */
export interface TensorBytes extends TensorSpec {
  readonly data: Uint8Array;
}

/**
 * Reads the header's length from a file's first 8 bytes.
 *
 * @throws SafetensorsError when it cannot be true for a file of `fileSize` bytes, or is above the limit.
 */
export function headerLength(prefix: Uint8Array, fileSize: number, { maxHeaderBytes = MAX_HEADER_BYTES }: HeaderLimits = {}): number {
  if (prefix.byteLength < 8 || fileSize < 8) throw new SafetensorsError(`${fileSize} bytes is too short for a file`);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw new SafetensorsError(`header claims ${length.toString()} bytes, ${maxHeaderBytes} are allowed`);
  }
  if (Number(length) > fileSize - 8) {
    throw new SafetensorsError(`header claims ${length.toString()} bytes in a file of ${fileSize}`);
  }
  return Number(length);
}

/**
 * Parses and checks a header's JSON: known dtypes, sane shapes, sizes that fit, no gaps, no overlaps, no duplicate
 * names, and a data section that fills the file exactly.
 *
 * @throws SafetensorsError naming the tensor at fault.
 */
export function parseHeader(json: Uint8Array, fileSize: number, { maxTensors = MAX_TENSORS }: HeaderLimits = {}): SafetensorsHeader {
  let header: HeaderText;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(json);
    header = readHeaderText(text, { maxTensors, maxRank: MAX_RANK, maxNameLength: MAX_NAME_LENGTH });
  } catch (error) {
    throw new SafetensorsError(`header is not valid (${error instanceof Error ? error.message : String(error)})`);
  }
  const dataStart = 8 + json.byteLength;
  const tensors = header.tensors.map((tensor) => locate(tensor, dataStart, fileSize - dataStart));
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let position = dataStart;
  for (const { name, begin, end } of tensors) {
    if (begin !== position) {
      throw new SafetensorsError(`tensor ${name} starts at byte ${begin}, expected ${position} (gap or overlap)`);
    }
    position = end;
  }
  if (position !== fileSize) {
    throw new SafetensorsError(`tensors end at byte ${position} of a file of ${fileSize}`);
  }
  return { tensors, metadata: header.metadata, dataStart };
}

/** The header bytes (length prefix included, padded so that data starts 8-aligned) for tensors laid out in this order. */
export function encodeHeader(specs: readonly TensorSpec[], metadata: Readonly<Record<string, string>> = { format: 'pt' }): Uint8Array {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header['__metadata__'] = metadata;
  let offset = 0;
  for (const spec of specs) {
    if (Object.hasOwn(header, spec.name)) throw new SafetensorsError(`tensor ${spec.name} is named twice`);
    const end = offset + byteLength(spec);
    header[spec.name] = { dtype: spec.dtype, shape: spec.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const bytes = new Uint8Array(8 + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, 8);
  return bytes;
}

/** A whole file's bytes; tensors keep the order given. */
export function encodeSafetensors(tensors: readonly TensorBytes[], metadata?: Readonly<Record<string, string>>): Uint8Array {
  const header = encodeHeader(tensors, metadata);
  const total = tensors.reduce((size, tensor) => size + byteLength(tensor), header.byteLength);
  const bytes = new Uint8Array(total);
  bytes.set(header);
  let position = header.byteLength;
  for (const tensor of tensors) {
    if (tensor.data.byteLength !== byteLength(tensor)) {
      throw new SafetensorsError(`tensor ${tensor.name} has ${tensor.data.byteLength} bytes, its shape needs ${byteLength(tensor)}`);
    }
    bytes.set(tensor.data, position);
    position += tensor.data.byteLength;
  }
  return bytes;
}

/**
 * Parses a whole file in memory. Tensor data are views into `bytes`.
 *
 * @throws SafetensorsError when the bytes are not a well-formed file.
 */
export function decodeSafetensors(bytes: Uint8Array): { readonly tensors: readonly TensorBytes[]; readonly metadata: Readonly<Record<string, string>> } {
  const length = headerLength(bytes.subarray(0, 8), bytes.byteLength);
  const header = parseHeader(bytes.subarray(8, 8 + length), bytes.byteLength);
  return {
    tensors: header.tensors.map(({ name, dtype, shape, begin, end }) => ({ name, dtype, shape, data: bytes.subarray(begin, end) })),
    metadata: header.metadata,
  };
}

function locate({ name, dtype, shape, offsets }: ClaimedTensor, dataStart: number, dataSize: number): TensorLocation {
  if (!Object.hasOwn(DTYPE_BYTES, dtype)) {
    throw new SafetensorsError(`tensor ${name} has unknown dtype ${JSON.stringify(dtype)}`);
  }
  const [begin, end] = offsets as [number, number];
  const size = byteLength({ dtype: dtype as Dtype, shape });
  if (begin > end || end > dataSize || !Number.isSafeInteger(size) || end - begin !== size) {
    throw new SafetensorsError(`tensor ${name} claims bytes ${begin}…${end} of ${dataSize}, its shape needs ${size}`);
  }
  return { name, dtype: dtype as Dtype, shape, begin: dataStart + begin, end: dataStart + end };
}
