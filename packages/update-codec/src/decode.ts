import { decodeBfloat16, elementCount, type TensorSource, type TensorSpec } from '@zk0/core';
import { dequantise, unpackNibbles, unpackTrits } from './blocks.ts';
import { BLOCK, checkContainer, codeBytes, PIECE, PLANES, scalesName, sizesName, valuesName, type CodedEncoding, type PackedEncoding } from './container.ts';
import { UpdateCodecError } from './errors.ts';
import { addPlane } from './planes.ts';
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
  if (encoding === 'delta') return { kind: 'weights', tensors: valueSource(base.specs, new BitReader(encoded, base).fill) };
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
  return async ({ name, shape }, first, values) => {
    if (values.length === 0) return;
    const end = first + values.length;
    const block = Math.floor(first / BLOCK);
    const scales = new Float32Array(Math.ceil(end / BLOCK) - block);
    await readValues(encoded, scalesName(name), block, scales);
    const bad = scales.findIndex((scale) => !(scale >= 0 && scale < Infinity));
    if (bad >= 0) throw new UpdateCodecError('ENCODING_INVALID', `scale ${block + bad} is ${scales[bad]!}, and scales are finite and not negative`, { tensor: name });
    const codes = new Int8Array(values.length);
    // Blocks begin with a byte of their own, whatever the encoding.
    const begin = codeBytes(encoding, block * BLOCK);
    const bytes = new Uint8Array(codeBytes(encoding, Math.min(elementCount(shape), (block + scales.length) * BLOCK)) - begin);
    await encoded.readBytes(valuesName(name), begin, bytes);
    const skip = first % BLOCK;
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
    dequantise(codes, first, scales, values);
  };
}

/** Reads what has changed of the bits, and puts it into those of the base. It keeps one piece: readers go on where they stopped. */
class BitReader {
  readonly #encoded: TensorSource;
  readonly #base: TensorSource;
  readonly #offsets = new Map<string, Promise<Float64Array>>();
  #kept: { readonly tensor: string; readonly piece: number; readonly words: Promise<Uint32Array> } | undefined;

  constructor(encoded: TensorSource, base: TensorSource) {
    this.#encoded = encoded;
    this.#base = base;
  }

  readonly fill: FillValues = async (spec, first, values) => {
    await readValues(this.#base, spec.name, first, values);
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    for (let done = 0; done < bits.length;) {
      const at = first + done;
      const words = await this.#words(spec, Math.floor(at / PIECE));
      const from = at % PIECE;
      const length = Math.min(words.length - from, bits.length - done);
      for (let index = 0; index < length; index++) bits[done + index]! ^= words[from + index]!;
      done += length;
    }
  };

  #words(spec: TensorSpec, piece: number): Promise<Uint32Array> {
    if (this.#kept?.tensor !== spec.name || this.#kept.piece !== piece) {
      const words = this.#read(spec, piece);
      const kept = { tensor: spec.name, piece, words };
      this.#kept = kept;
      words.catch(() => {
        if (this.#kept === kept) this.#kept = undefined;
      });
    }
    return this.#kept.words;
  }

  async #read(spec: TensorSpec, piece: number): Promise<Uint32Array> {
    const offsets = await this.#offsetsOf(spec);
    const [begin, end] = [offsets[PLANES * piece]!, offsets[PLANES * (piece + 1)]!];
    const sent = new Uint8Array(end - begin);
    await this.#encoded.readBytes(valuesName(spec.name), begin, sent);
    const words = new Uint32Array(Math.min(PIECE, elementCount(spec.shape) - piece * PIECE));
    for (let plane = 0; plane < PLANES; plane++) {
      const at = PLANES * piece + plane;
      try {
        addPlane(sent.subarray(offsets[at]! - begin, offsets[at + 1]! - begin), plane, words);
      } catch (cause) {
        throw new UpdateCodecError('ENCODING_INVALID', `piece ${piece}: plane ${plane} does not decompress to ${words.length} bytes`, { tensor: spec.name, cause });
      }
    }
    return words;
  }

  #offsetsOf(spec: TensorSpec): Promise<Float64Array> {
    let offsets = this.#offsets.get(spec.name);
    if (offsets === undefined) this.#offsets.set(spec.name, (offsets = this.#readOffsets(spec)));
    return offsets;
  }

  /** Where each plane of each piece begins in the tensor's bytes, and at the end where the last one ends. */
  async #readOffsets({ name, shape }: TensorSpec): Promise<Float64Array> {
    const [values, sizes] = [valuesName(name), sizesName(name)].map((tensor) => this.#encoded.specs.find((spec) => spec.name === tensor)!);
    const lengths = new Uint32Array(elementCount(sizes!.shape));
    await this.#encoded.readBytes(sizes!.name, 0, new Uint8Array(lengths.buffer));
    const offsets = new Float64Array(lengths.length + 1);
    const count = elementCount(shape);
    for (let index = 0; index < lengths.length; index++) {
      const plane = Math.min(PIECE, count - Math.floor(index / PLANES) * PIECE);
      if (lengths[index]! > plane) throw new UpdateCodecError('ENCODING_INVALID', `a plane of ${plane} bytes claims to be compressed to ${lengths[index]!}`, { tensor: name });
      offsets[index + 1] = offsets[index]! + lengths[index]!;
    }
    if (offsets.at(-1) !== elementCount(values!.shape)) throw new UpdateCodecError('ENCODING_INVALID', 'the sizes of its pieces do not add up to its bytes', { tensor: name });
    return offsets;
  }
}
