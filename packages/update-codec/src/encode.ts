import { setImmediate as breathe } from 'node:timers/promises';
import { compareNames, DTYPE_BYTES, elementCount, encodeBfloat16, InvalidArgumentError, MemoryTensorSource, type TensorBytes, type TensorSource, type TensorSpec } from '@zk0/core';
import { packNibbles, quantise } from './blocks.ts';
import { BLOCK, blockCount, LEVELS, PIECE, pieceCount, PLANES, scalesName, sizesName, updateMetadata, valuesName, type PackedEncoding } from './container.ts';
import { decodeUpdate } from './decode.ts';
import { difference } from './difference.ts';
import { UpdateCodecError } from './errors.ts';
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
  const tensors: TensorBytes[] = [];
  const source = encoding === 'delta' ? update : difference(update, base, residual);
  for (const spec of base.specs) {
    tensors.push(...(encoding === 'delta' ? await encodeBits(spec, update, base) : await encodeDifference(spec, source, encoding)));
    // Other work of this process goes on in between.
    await breathe();
  }
  // The widest first, so that each lies where its type wants it.
  tensors.sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || compareNames(a.name, b.name));
  if (encoding === 'delta') return { tensors, metadata, residual: null };
  const sent = decodeUpdate(new MemoryTensorSource(tensors), metadata, { encoding, base, baseHash });
  return { tensors, metadata, residual: difference(source, sent.tensors) };
}

async function encodeDifference({ name, shape }: TensorSpec, source: TensorSource, encoding: Exclude<PackedEncoding, 'delta'>): Promise<readonly TensorBytes[]> {
  const count = elementCount(shape);
  const values = new Float32Array(Math.min(PIECE, count));
  const bits = new Uint16Array(encoding === 'bfloat16' ? count : 0);
  const codes = new Int8Array(encoding === 'int8' ? count : values.length);
  const nibbles = new Uint8Array(encoding === 'int4' ? Math.ceil(count / 2) : 0);
  const scales = new Float32Array(encoding === 'bfloat16' ? 0 : blockCount(shape));
  for (let first = 0; first < count; first += PIECE) {
    const piece = values.subarray(0, Math.min(PIECE, count - first));
    const end = first + piece.length;
    await readValues(source, name, first, piece);
    let bad: number;
    if (encoding === 'bfloat16') {
      bad = firstWith(encodeBfloat16(piece, bits.subarray(first, end)), 0x7f80);
    } else {
      const own = encoding === 'int8' ? codes.subarray(first, end) : codes.subarray(0, piece.length);
      bad = quantise(piece, LEVELS[encoding], own, scales.subarray(first / BLOCK));
      if (encoding === 'int4') packNibbles(own, nibbles.subarray(first / 2));
    }
    if (bad >= 0) throw nonFinite(name, first + bad, encoding);
  }
  if (encoding === 'bfloat16') return [{ name: valuesName(name), dtype: 'BF16', shape, data: bytesOf(bits) }];
  return [
    encoding === 'int8'
      ? { name: valuesName(name), dtype: 'I8', shape, data: bytesOf(codes) }
      : { name: valuesName(name), dtype: 'U8', shape: [nibbles.length], data: nibbles },
    { name: scalesName(name), dtype: 'F32', shape: [scales.length], data: bytesOf(scales) },
  ];
}

async function encodeBits({ name, shape }: TensorSpec, update: TensorSource, base: TensorSource): Promise<readonly TensorBytes[]> {
  const count = elementCount(shape);
  const [values, before] = [new Float32Array(Math.min(PIECE, count)), new Float32Array(Math.min(PIECE, count))];
  const sizes = new Uint32Array(PLANES * pieceCount(shape));
  const parts: Uint8Array[] = [];
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
    for (const part of compressor.compress(words)) {
      sizes[parts.length] = part.byteLength;
      parts.push(part);
    }
  }
  const payload = Buffer.concat(parts);
  return [
    { name: valuesName(name), dtype: 'U8', shape: [payload.byteLength], data: payload },
    { name: sizesName(name), dtype: 'U32', shape: [sizes.length], data: bytesOf(sizes) },
  ];
}

/** Index of the first word that has all bits of the exponent, as NaN and infinities have; -1 where there is none. */
function firstWith(words: Uint16Array | Uint32Array, exponent: number): number {
  for (let index = 0; index < words.length; index++) if ((words[index]! & exponent) === exponent) return index;
  return -1;
}

function nonFinite(tensor: string, index: number, encoding: PackedEncoding): UpdateCodecError {
  return new UpdateCodecError('ENCODING_NON_FINITE', `element ${index} is not finite, or too large for ${encoding}`, {
    tensor,
    hint: 'The training diverged: lower the learning rate.',
  });
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function assertSame({ specs }: TensorSource, base: TensorSource): void {
  const text = (all: readonly TensorSpec[]): string => JSON.stringify(all.map(({ name, dtype, shape }) => [name, dtype, shape]));
  if (text(specs) === text(base.specs) && specs.every(({ dtype }) => dtype === 'F32')) return;
  throw new InvalidArgumentError('an update has the tensors of its base, all float32, in the order of their names');
}
