import { elementCount, sameShape, type TensorSpec, type UpdateEncoding } from '@zk0/core';
import { UpdateCodecError } from './errors.ts';

/** The encodings that this package reads and writes; `float32` needs none. */
export type PackedEncoding = Exclude<UpdateEncoding, 'float32'>;

/** Codes of `ternary` in a byte: 3⁵ is 243. */
export const TRITS = 5;

/** Encodings of small whole numbers. */
export type CodedEncoding = Exclude<PackedEncoding, 'bfloat16' | 'delta'>;
/** Those with a scale for each block of codes, and nothing else. */
export type PlainCodes = Exclude<CodedEncoding, 'compressed'>;

/** Values that share a scale, in row-major order. */
export const BLOCK = 128;
/** The same of `compressed`. */
export const COARSE_BLOCK = 256;
/** Values that are worked on, and compressed, at a time; a multiple of both blocks. */
export const PIECE = 32_768;
/** Bytes of a float32 value, each of which is compressed by itself. */
export const PLANES = 4;

/** Largest magnitude of a code: codes are symmetric around zero. */
export const LEVELS = { int8: 127, int4: 7, compressed: 7, factors: 7 } as const;

/** What `compressed` takes for each value, without the sizes and scales of its tensors: its step follows from that. */
export const COMPRESSED_BITS = 1.93;
/** Components of the low-rank part of a tensor, at most. */
const MAX_RANK = 16;
/** Of a component, for each row and column. */
export const CODE_BITS = 4;

const FORMAT = 'zk0-update';
/** Of an encoding: `compressed` had no low-rank part in its first one. */
const versionOf = (encoding: PackedEncoding): string => (encoding === 'compressed' ? '2' : '1');

/** The tensors of an encoded update. Parameters keep their names behind a prefix, so that no name can meet another one. */
export const valuesName = (parameter: string): string => `values/${parameter}`;
export const scalesName = (parameter: string): string => `scales/${parameter}`;
export const sizesName = (parameter: string): string => `sizes/${parameter}`;

/** The `__metadata__` of an encoded update. `baseHash` names the parameters that it is a difference to. */
export function updateMetadata(encoding: PackedEncoding, baseHash: string): Record<string, string> {
  return { format: FORMAT, encoding, version: versionOf(encoding), base: baseHash };
}

/** The encoding that a file claims to be in: `float32` where it claims nothing. What it returns otherwise is any text of a stranger. */
export function encodingOf(metadata: Readonly<Record<string, string>>): string {
  return metadata['format'] === FORMAT ? (metadata['encoding'] ?? '') : 'float32';
}

/** Blocks of so many values: of `compressed` they share an exponent, else a scale. */
export function blockCount(encoding: CodedEncoding, count: number): number {
  return Math.ceil(count / (encoding === 'compressed' ? COARSE_BLOCK : BLOCK));
}

/** Components that a tensor's low-rank part has at most: 16, and no more than take a bit of each value before they are compressed. */
export function maxRank(shape: readonly number[]): number {
  const { rows, columns } = matrixOf(shape);
  return Math.min(MAX_RANK, Math.floor((rows * columns) / (CODE_BITS * (rows + columns))) || 0);
}

/** The rows and columns of a tensor as a matrix: its first dimension, and the others together. A vector has one column. */
export function matrixOf(shape: readonly number[]): { readonly rows: number; readonly columns: number } {
  const rows = shape[0] ?? 1;
  return { rows, columns: rows === 0 ? 0 : elementCount(shape) / rows };
}

/** Codes of a low-rank part: one for each row and column and component. They are packed as those of `int4`. */
export function factorCount(shape: readonly number[], rank: number): number {
  const { rows, columns } = matrixOf(shape);
  return rank * (rows + columns);
}

/** What an encoding takes for each value of a large tensor; of `delta`, where nothing can be compressed. */
export function bytesPerValue(encoding: PackedEncoding): number {
  switch (encoding) {
    case 'bfloat16':
      return 2;
    case 'compressed':
      return COMPRESSED_BITS / 8;
    case 'delta':
      return PLANES;
    default:
      return (codeBytes(encoding, BLOCK) + Float32Array.BYTES_PER_ELEMENT) / BLOCK;
  }
}

/** Pieces of a tensor. */
export function pieceCount(shape: readonly number[]): number {
  return Math.ceil(elementCount(shape) / PIECE);
}

/** Bytes of so many codes, before compression; of `ternary`, each block begins with a byte of its own; of `compressed`, with their exponents. */
export function codeBytes(encoding: CodedEncoding, count: number): number {
  switch (encoding) {
    case 'int8':
      return count;
    case 'int4':
      return Math.ceil(count / 2);
    case 'compressed':
      return blockCount(encoding, count) + Math.ceil(count / 2);
    case 'ternary':
      return Math.floor(count / BLOCK) * Math.ceil(BLOCK / TRITS) + Math.ceil((count % BLOCK) / TRITS);
  }
}

/** What an encoded update must be. */
export interface ExpectedUpdate {
  readonly encoding: PackedEncoding;
  /** Names the parameters that it is a difference to. */
  readonly baseHash: string;
  /** The parameters, all float32. */
  readonly parameters: readonly TensorSpec[];
}

/**
 * Checks all that can be known without reading data.
 *
 * @throws UpdateCodecError naming what is not as it should be.
 */
export function checkContainer(specs: readonly TensorSpec[], metadata: Readonly<Record<string, string>>, { encoding, baseHash, parameters }: ExpectedUpdate): void {
  const claimed = encodingOf(metadata);
  const mismatch = (what: string): UpdateCodecError => new UpdateCodecError('ENCODING_MISMATCH', what, { hint: 'Run the same zk0 release on both sides.' });
  if (claimed !== encoding) throw mismatch(`it is in the encoding ${JSON.stringify(claimed.slice(0, 40))}, and ${encoding} was agreed on`);
  if (metadata['version'] !== versionOf(encoding)) throw mismatch(`it is in version ${JSON.stringify((metadata['version'] ?? '').slice(0, 40))} of its encoding, and this release reads version ${versionOf(encoding)}`);
  if (metadata['base'] !== baseHash) throw mismatch('it is a difference to other parameters than those of the round');
  const found = new Map(specs.map((spec) => [spec.name, spec]));
  for (const parameter of parameters) {
    if (parameter.dtype !== 'F32') throw new UpdateCodecError('ENCODING_INVALID', `parameters are float32, this one is ${parameter.dtype}`, { tensor: parameter.name });
    for (const check of checksOf(encoding, parameter)) {
      const spec = found.get(check.name);
      found.delete(check.name);
      if (spec !== undefined && spec.dtype === check.dtype && check.fits(spec.shape)) continue;
      const is = spec === undefined ? 'is absent' : `is ${spec.dtype} [${spec.shape.join(', ')}]`;
      throw new UpdateCodecError('ENCODING_INVALID', `${check.name} ${is}, and ${check.dtype} ${check.wanted} was expected`, { tensor: parameter.name });
    }
  }
  const [stranger] = found.keys();
  if (stranger !== undefined) throw new UpdateCodecError('ENCODING_INVALID', 'the parameters do not have it', { tensor: stranger });
}

interface Check {
  readonly name: string;
  readonly dtype: TensorSpec['dtype'];
  readonly wanted: string;
  readonly fits: (shape: readonly number[]) => boolean;
}

function checksOf(encoding: PackedEncoding, { name, shape }: TensorSpec): readonly Check[] {
  const count = elementCount(shape);
  const exactly = (tensor: string, dtype: TensorSpec['dtype'], wanted: readonly number[]): Check => ({
    name: tensor,
    dtype,
    wanted: `[${wanted.join(', ')}]`,
    fits: (found) => sameShape(found, wanted),
  });
  const atMost = (tensor: string, bytes: number): Check => ({
    name: tensor,
    dtype: 'U8',
    wanted: `[at most ${bytes}]`,
    fits: (found) => found.length === 1 && found[0]! <= bytes,
  });
  switch (encoding) {
    case 'bfloat16':
      return [exactly(valuesName(name), 'BF16', shape)];
    case 'int8':
      return [exactly(valuesName(name), 'I8', shape), exactly(scalesName(name), 'F32', [blockCount(encoding, count)])];
    case 'int4':
    case 'ternary':
      return [exactly(valuesName(name), 'U8', [codeBytes(encoding, count)]), exactly(scalesName(name), 'F32', [blockCount(encoding, count)])];
    case 'compressed':
      return [
        atMost(valuesName(name), codeBytes('int4', factorCount(shape, maxRank(shape))) + codeBytes(encoding, count)),
        exactly(sizesName(name), 'U32', [1 + pieceCount(shape)]),
        { name: scalesName(name), dtype: 'F32', wanted: `[1 to ${1 + maxRank(shape)}]`, fits: (found) => found.length === 1 && found[0]! >= 1 && found[0]! <= 1 + maxRank(shape) },
      ];
    case 'delta':
      return [atMost(valuesName(name), PLANES * count), exactly(sizesName(name), 'U32', [PLANES * pieceCount(shape)])];
  }
}
