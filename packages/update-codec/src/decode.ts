import { decodeBfloat16, elementCount, type TensorSource, type TensorSpec } from '@zk0/core';
import { addSteps, dequantise, MAX_FLOAT32, unpackNibbles, unpackTrits } from './blocks.ts';
import { BLOCK, blockCount, checkContainer, codeBytes, factorCount, matrixOf, PIECE, scalesName, valuesName, type PackedEncoding, type PlainCodes } from './container.ts';
import { UpdateCodecError } from './errors.ts';
import { PieceReader } from './frames.ts';
import { LowRankReader } from './low-rank.ts';
import { PLANE_LAYOUT } from './planes.ts';
import { readValues, valueSource, type FillValues } from './value-source.ts';

/** What an update is decoded with. */
export interface DecodeOptions {
  /** The encoding that was agreed on: another one is refused. */
  readonly encoding: PackedEncoding;
  /** The parameters that it is a difference to. */
  readonly base: TensorSource;
  /** Names them. */
  readonly baseHash: string;
}

/** An update that is decoded piece by piece as it is read: never more of it is in memory than what is being read. */
export interface DecodedUpdate {
  /** What `tensors` are: the parameters themselves (`delta`), or their difference to the base. */
  readonly kind: 'weights' | 'delta';
  /**
   * Float32 tensors named as the parameters. Every machine reads the same bits: a value is one product in float32 arithmetic, a widened
   * bfloat16, or the bits that were sent. Reading throws `UpdateCodecError` where the data are not what they should be; values
   * may be infinite or NaN only with bfloat16 and delta, as in any float32 tensor of a stranger.
   */
  readonly tensors: TensorSource;
}

/**
 * Opens an encoded update. Names, types, shapes and sizes are checked now, data when they are read.
 *
 * @param encoded the tensors as they came.
 * @param metadata of the file that they came in.
 * @throws UpdateCodecError `ENCODING_MISMATCH` or `ENCODING_INVALID`.
 */
export function decodeUpdate(encoded: TensorSource, metadata: Readonly<Record<string, string>>, { encoding, base, baseHash }: DecodeOptions): DecodedUpdate {
  checkContainer(encoded.specs, metadata, { encoding, baseHash, parameters: base.specs });
  if (encoding === 'delta') return { kind: 'weights', tensors: valueSource(base.specs, bitReader(encoded, base)) };
  const fill = encoding === 'bfloat16' ? bfloat16Reader(encoded) : encoding === 'compressed' ? compressedReader(encoded) : codeReader(encoded, encoding);
  return { kind: 'delta', tensors: valueSource(base.specs, fill) };
}

function bfloat16Reader(encoded: TensorSource): FillValues {
  return async ({ name }, first, values) => {
    const bits = new Uint16Array(values.length);
    await encoded.readBytes(valuesName(name), 2 * first, new Uint8Array(bits.buffer));
    decodeBfloat16(bits, values);
  };
}

function codeReader(encoded: TensorSource, encoding: PlainCodes): FillValues {
  return async (spec, first, values) => {
    if (values.length === 0) return;
    const from = Math.floor(first / BLOCK);
    const scales = await readScales(encoded, spec, from, Math.ceil((first + values.length) / BLOCK) - from);
    const codes = await readCodes(encoded, encoding, spec, first, values.length);
    dequantise(codes, first, scales, values);
  };
}

async function readScales(encoded: TensorSource, { name }: TensorSpec, from: number, count: number): Promise<Float32Array> {
  const scales = new Float32Array(count);
  await readValues(encoded, scalesName(name), from, scales);
  const bad = scales.findIndex((scale) => !(scale >= 0 && scale < Infinity));
  if (bad >= 0) throw new UpdateCodecError('ENCODING_INVALID', `scale ${from + bad} is ${scales[bad]!}, and scales are finite and not negative`, { tensor: name });
  return scales;
}

async function readCodes(encoded: TensorSource, encoding: PlainCodes, { name, shape }: TensorSpec, first: number, count: number): Promise<Int8Array> {
  // Blocks begin with a byte of their own, whatever the encoding.
  const skip = first % BLOCK;
  const begin = codeBytes(encoding, first - skip);
  const end = Math.min(elementCount(shape), Math.ceil((first + count) / BLOCK) * BLOCK);
  const bytes = new Uint8Array(codeBytes(encoding, end) - begin);
  await encoded.readBytes(valuesName(name), begin, bytes);
  if (encoding === 'int8') return new Int8Array(bytes.buffer, skip, count);
  const codes = new Int8Array(count);
  if (encoding === 'int4') unpackNibbles(bytes, skip, codes);
  else {
    const wrong = unpackTrits(bytes, skip, codes);
    if (wrong >= 0) throw new UpdateCodecError('ENCODING_INVALID', `byte ${begin + wrong} is ${bytes[wrong]!}, and bytes of five codes are below 243`, { tensor: name });
  }
  return codes;
}

/** What all values of a tensor share. */
interface SharedPart {
  readonly scale: number;
  readonly lowRank: LowRankReader;
}

// Of all readers: they are written and read without anything in between.
const scratchCodes = new Int8Array(PIECE);
const scratchSums = new Float64Array(PIECE);

/** It keeps the shared part of one tensor: readers go on where they stopped. */
function compressedReader(encoded: TensorSource): FillValues {
  const pieces = new PieceReader<Uint8Array>(encoded, {
    headBytes: ({ name, shape }) => codeBytes('int4', factorCount(shape, rankOf(encoded, name))),
    parts: 1,
    partBytes: (values) => codeBytes('compressed', values),
    join: ([packed]) => packed!,
  });
  const readShared = async (spec: TensorSpec): Promise<SharedPart> => {
    const rank = rankOf(encoded, spec.name);
    const [scale, ...gains] = await readScales(encoded, spec, 0, 1 + rank);
    const codes = new Int8Array(factorCount(spec.shape, rank));
    unpackNibbles(await pieces.head(spec), 0, codes);
    return { scale: scale!, lowRank: new LowRankReader({ ...matrixOf(spec.shape), gains: Float32Array.from(gains), codes }) };
  };
  let kept: { readonly tensor: string; readonly shared: SharedPart } | undefined;
  return async (spec, first, values) => {
    if (values.length === 0) return;
    if (kept?.tensor !== spec.name) kept = { tensor: spec.name, shared: await readShared(spec) };
    const { scale, lowRank } = kept.shared;
    await pieces.read(spec, first, values.length, (packed, from, length, done) => {
      const exponents = blockCount('compressed', Math.min(PIECE, elementCount(spec.shape) - (first + done - from)));
      const [ownCodes, ownSums] = [scratchCodes.subarray(0, length), scratchSums.subarray(0, length)];
      unpackNibbles(packed.subarray(exponents), from, ownCodes);
      lowRank.read(first + done, ownSums);
      addSteps(ownCodes, from, packed.subarray(0, exponents), scale, ownSums);
      const bad = narrow(ownSums, values.subarray(done, done + length));
      if (bad >= 0) throw new UpdateCodecError('ENCODING_INVALID', `element ${first + done + bad} would be ${ownSums[bad]!}, which is no float32`, { tensor: spec.name });
    });
  };
}

/** Rounds to float32. @returns the index of the first value that is beyond it, or -1. */
function narrow(sums: Float64Array, values: Float32Array): number {
  for (let index = 0; index < sums.length; index++) {
    if (!(Math.abs(sums[index]!) <= MAX_FLOAT32)) return index;
    values[index] = sums[index]!;
  }
  return -1;
}

/** Components of a tensor's low-rank part. */
function rankOf(encoded: TensorSource, parameter: string): number {
  return elementCount(encoded.specs.find(({ name }) => name === scalesName(parameter))!.shape) - 1;
}

/** The changed bits are put into those of the base. */
function bitReader(encoded: TensorSource, base: TensorSource): FillValues {
  const pieces = new PieceReader(encoded, PLANE_LAYOUT);
  return async (spec, first, values) => {
    await readValues(base, spec.name, first, values);
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    await pieces.read(spec, first, values.length, (words, from, length, done) => {
      for (let index = 0; index < length; index++) bits[done + index]! ^= words[from + index]!;
    });
  };
}
