import { decodeBfloat16, elementCount, type TensorSource, type TensorSpec } from '@zk0/core';
import { dequantise, unpackNibbles, unpackTrits } from './blocks.ts';
import { BLOCK, blockOf, checkContainer, codeBytes, scalesName, valuesName, type CodedEncoding, type PackedEncoding } from './container.ts';
import { UpdateCodecError } from './errors.ts';
import { PieceReader } from './frames.ts';
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
  const fill = encoding === 'bfloat16' ? bfloat16Reader(encoded) : codeReader(encoded, encoding);
  return { kind: 'delta', tensors: valueSource(base.specs, fill) };
}

function bfloat16Reader(encoded: TensorSource): FillValues {
  return async ({ name }, first, values) => {
    const bits = new Uint16Array(values.length);
    await encoded.readBytes(valuesName(name), 2 * first, new Uint8Array(bits.buffer));
    decodeBfloat16(bits, values);
  };
}

function codeReader(encoded: TensorSource, encoding: CodedEncoding): FillValues {
  const block = blockOf(encoding);
  const readScales = encoding === 'compressed' ? readNarrowScales : readValues;
  const readCodes = encoding === 'compressed' ? compressedCodes(encoded) : packedCodes(encoded, encoding);
  return async (spec, first, values) => {
    if (values.length === 0) return;
    const from = Math.floor(first / block);
    const scales = new Float32Array(Math.ceil((first + values.length) / block) - from);
    await readScales(encoded, scalesName(spec.name), from, scales);
    const bad = scales.findIndex((scale) => !(scale >= 0 && scale < Infinity));
    if (bad >= 0) throw new UpdateCodecError('ENCODING_INVALID', `scale ${from + bad} is ${scales[bad]!}, and scales are finite and not negative`, { tensor: spec.name });
    const codes = new Int8Array(values.length);
    await readCodes(spec, first, codes);
    dequantise(codes, first, scales, block, values);
  };
}

async function readNarrowScales(encoded: TensorSource, name: string, first: number, scales: Float32Array): Promise<void> {
  const bits = new Uint16Array(scales.length);
  await encoded.readBytes(name, 2 * first, new Uint8Array(bits.buffer));
  decodeBfloat16(bits, scales);
}

/** Reads the codes of a tensor from position `first` on. */
type ReadCodes = (tensor: TensorSpec, first: number, codes: Int8Array) => Promise<void>;

function packedCodes(encoded: TensorSource, encoding: Exclude<CodedEncoding, 'compressed'>): ReadCodes {
  return async ({ name, shape }, first, codes) => {
    // Blocks begin with a byte of their own, whatever the encoding.
    const skip = first % BLOCK;
    const begin = codeBytes(encoding, first - skip);
    const end = Math.min(elementCount(shape), Math.ceil((first + codes.length) / BLOCK) * BLOCK);
    const bytes = new Uint8Array(codeBytes(encoding, end) - begin);
    await encoded.readBytes(valuesName(name), begin, bytes);
    switch (encoding) {
      case 'int8':
        codes.set(new Int8Array(bytes.buffer, skip, codes.length));
        break;
      case 'int4':
        unpackNibbles(bytes, skip, codes);
        break;
      case 'ternary': {
        const wrong = unpackTrits(bytes, skip, codes);
        if (wrong >= 0) throw new UpdateCodecError('ENCODING_INVALID', `byte ${begin + wrong} is ${bytes[wrong]!}, and bytes of five codes are below 243`, { tensor: name });
      }
    }
  };
}

function compressedCodes(encoded: TensorSource): ReadCodes {
  const pieces = new PieceReader<Uint8Array>(encoded, {
    parts: 1,
    partBytes: (values) => codeBytes('compressed', values),
    join: ([packed]) => packed!,
  });
  return (spec, first, codes) =>
    pieces.read(spec, first, codes.length, (packed, from, length, done) => {
      unpackNibbles(packed, from, codes.subarray(done, done + length));
    });
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
