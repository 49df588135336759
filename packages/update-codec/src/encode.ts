import { setImmediate as breathe } from 'node:timers/promises';
import { compareNames, DTYPE_BYTES, elementCount, encodeBfloat16, InvalidArgumentError, MemoryTensorSource, type TensorBytes, type TensorSource, type TensorSpec } from '@zk0/core';
import { packNibbles, packTrits, quantise, ternarise } from './blocks.ts';
import { compressDifference } from './compress.ts';
import { BLOCK, blockCount, codeBytes, LEVELS, PIECE, scalesName, updateMetadata, valuesName,  type PackedEncoding, type PlainCodes } from './container.ts';
import { decodeUpdate } from './decode.ts';
import { difference } from './difference.ts';
import { nonFinite } from './errors.ts';
import { PartWriter } from './frames.ts';
import { PlaneCompressor } from './planes.ts';
import { readValues } from './value-source.ts';

/** What an update is encoded with. */
export interface EncodeOptions {
  readonly encoding: PackedEncoding;
  /** The parameters that both sides hold. */
  readonly base: TensorSource;
  /** Names them: the update says what it is a difference to. */
  readonly baseHash: string;
  /** What rounding left over of the updates before; `null`: nothing. Without meaning for `delta`. */
  readonly residual?: TensorSource | null;
}

/** An encoded update, to be written as a safetensors file. */
export interface EncodedUpdate {
  readonly tensors: readonly TensorBytes[];
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * What rounding has left over, to be added to the next update: computed from the sources when it is read. `null` where nothing is lost
   * (`delta`).
   */
  readonly residual: TensorSource | null;
}

/**
 * Encodes trained parameters, tensor by tensor.
 *
 * @param update float32 tensors with the names and shapes of `base`.
 * @throws UpdateCodecError `ENCODING_NON_FINITE` naming the tensor with a value that is not finite, or too large.
 */
export async function encodeUpdate(update: TensorSource, { encoding, base, baseHash, residual = null }: EncodeOptions): Promise<EncodedUpdate> {
  assertSame(update, base);
  if (residual !== null) assertSame(residual, base);
  const metadata = updateMetadata(encoding, baseHash);
  const source = encoding === 'delta' ? update : difference(update, base, residual);
  const tensors =
    encoding === 'compressed'
      ? await compressDifference(source)
      : await eachTensor(base.specs, (spec) => (encoding === 'delta' ? encodeBits(spec, update, base) : encodeDifference(spec, source, encoding)));
  // The widest first, so that each lies where its type wants it.
  tensors.sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || compareNames(a.name, b.name));
  if (encoding === 'delta') return { tensors, metadata, residual: null };
  const sent = decodeUpdate(new MemoryTensorSource(tensors), metadata, { encoding, base, baseHash });
  return { tensors, metadata, residual: difference(source, sent.tensors) };
}

async function eachTensor(specs: readonly TensorSpec[], encode: (spec: TensorSpec) => Promise<readonly TensorBytes[]>): Promise<TensorBytes[]> {
  const tensors: TensorBytes[] = [];
  for (const spec of specs) {
    tensors.push(...(await encode(spec)));
    // Other work of this process goes on in between.
    await breathe();
  }
  return tensors;
}

async function encodeDifference({ name, shape }: TensorSpec, source: TensorSource, encoding: PlainCodes | 'bfloat16'): Promise<readonly TensorBytes[]> {
  if (encoding !== 'bfloat16') return encodeCodes({ name, shape }, source, encoding);
  const bits = new Uint16Array(elementCount(shape));
  await eachPiece({ name, shape }, source, encoding, (first, piece) => firstWith(encodeBfloat16(piece, bits.subarray(first, first + piece.length)), 0x7f80));
  return [{ name: valuesName(name), dtype: 'BF16', shape, data: bytesOf(bits) }];
}

async function encodeCodes({ name, shape }: Pick<TensorSpec, 'name' | 'shape'>, source: TensorSource, encoding: PlainCodes): Promise<readonly TensorBytes[]> {
  const count = elementCount(shape);
  const packed = new Uint8Array(codeBytes(encoding, count));
  const scales = new Float32Array(blockCount(encoding, count));
  const codes = new Int8Array(Math.min(PIECE, count));
  await eachPiece({ name, shape }, source, encoding, (first, piece) => {
    const own = codes.subarray(0, piece.length);
    const ownScales = scales.subarray(first / BLOCK);
    const into = packed.subarray(codeBytes(encoding, first));
    const bad = encoding === 'ternary' ? ternarise(piece, own, ownScales) : quantise(piece, LEVELS[encoding], own, ownScales);
    if (encoding === 'int8') into.set(bytesOf(own));
    else if (encoding === 'int4') packNibbles(own, into);
    else packTrits(own, into);
    return bad;
  });
  const values: TensorBytes = encoding === 'int8' ? { name: valuesName(name), dtype: 'I8', shape, data: packed } : { name: valuesName(name), dtype: 'U8', shape: [packed.length], data: packed };
  return [values, { name: scalesName(name), dtype: 'F32', shape: [scales.length], data: bytesOf(scales) }];
}

/** @param encode returns the index of the first value that cannot be encoded, or -1 */
async function eachPiece({ name, shape }: Pick<TensorSpec, 'name' | 'shape'>, source: TensorSource, encoding: PackedEncoding, encode: (first: number, piece: Float32Array) => number): Promise<void> {
  const count = elementCount(shape);
  const values = new Float32Array(Math.min(PIECE, count));
  for (let first = 0; first < count; first += PIECE) {
    const piece = values.subarray(0, Math.min(PIECE, count - first));
    await readValues(source, name, first, piece);
    const bad = encode(first, piece);
    if (bad >= 0) throw nonFinite(name, first + bad, encoding);
  }
}

async function encodeBits({ name, shape }: TensorSpec, update: TensorSource, base: TensorSource): Promise<readonly TensorBytes[]> {
  const count = elementCount(shape);
  const [values, before] = [new Float32Array(Math.min(PIECE, count)), new Float32Array(Math.min(PIECE, count))];
  const parts = new PartWriter();
  const compressor = new PlaneCompressor();
  for (let first = 0; first < count; first += PIECE) {
    const length = Math.min(PIECE, count - first);
    await readValues(update, name, first, values.subarray(0, length));
    await readValues(base, name, first, before.subarray(0, length));
    const words = new Uint32Array(values.buffer, 0, length);
    const other = new Uint32Array(before.buffer, 0, length);
    const bad = firstWith(words, 0x7f80_0000);
    if (bad >= 0) throw nonFinite(name, first + bad, 'delta');
    for (let index = 0; index < length; index++) words[index]! ^= other[index]!;
    for (const part of compressor.compress(words)) parts.add(part);
  }
  return parts.tensors(name);
}

/** Index of the first word that has all bits of the exponent, as NaN and infinities have; -1 where there is none. */
function firstWith(words: Uint16Array | Uint32Array, exponent: number): number {
  for (let index = 0; index < words.length; index++) if ((words[index]! & exponent) === exponent) return index;
  return -1;
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function assertSame({ specs }: TensorSource, base: TensorSource): void {
  const text = (all: readonly TensorSpec[]): string => JSON.stringify(all.map(({ name, dtype, shape }) => [name, dtype, shape]));
  if (text(specs) === text(base.specs) && specs.every(({ dtype }) => dtype === 'F32')) return;
  throw new InvalidArgumentError('an update has the tensors of its base, all float32, in the order of their names');
}
