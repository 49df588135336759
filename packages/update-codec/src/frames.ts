import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { elementCount, type TensorBytes, type TensorSource, type TensorSpec } from '@zk0/core';
import { PIECE, sizesName, valuesName } from './container.ts';
import { UpdateCodecError } from './errors.ts';

/** A part of a piece has at most 32 KiB: a frame that asks for a larger window is not one of ours. */
const WINDOW_LOG = 15;

/**
 * Compresses a part of a piece as one zstd frame, with Huffman codes of its bytes at the least (level 1).
 *
 * @param minMatch repetitions of fewer bytes than that are not looked for (3 to 7); zstd's own choice where it is absent.
 * @returns a frame, or the bytes themselves where it would not be smaller.
 */
export function compress(bytes: Uint8Array, minMatch = 0): Uint8Array {
  const params = { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_windowLog]: WINDOW_LOG, [constants.ZSTD_c_minMatch]: minMatch };
  const frame = zstdCompressSync(bytes, { params });
  return frame.byteLength < bytes.byteLength ? frame : bytes;
}

/** @throws Error when the bytes are not exactly one part of that length. */
function decompress(sent: Uint8Array, length: number): Uint8Array {
  if (sent.byteLength === length) return sent;
  // The limit holds while it is decompressed: nothing grows beyond a part.
  const bytes = zstdDecompressSync(sent, { maxOutputLength: length, params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG } });
  if (bytes.byteLength !== length) throw new Error(`${bytes.byteLength} bytes, not ${length}`);
  return bytes;
}

/** Collects the compressed parts of a tensor's pieces, in order. */
export class PartWriter {
  readonly #parts: Uint8Array[] = [];

  add(part: Uint8Array): void {
    this.#parts.push(part);
  }

  /** The parts one after the other (`values/NAME`), and their sizes (`sizes/NAME`). */
  tensors(parameter: string): readonly TensorBytes[] {
    const sizes = Uint32Array.from(this.#parts, ({ byteLength }) => byteLength);
    const payload = Buffer.concat(this.#parts);
    return [
      { name: valuesName(parameter), dtype: 'U8', shape: [payload.byteLength], data: payload },
      { name: sizesName(parameter), dtype: 'U32', shape: [sizes.length], data: new Uint8Array(sizes.buffer) },
    ];
  }
}

/** How a tensor's pieces are compressed. */
export interface PieceLayout<Piece> {
  /** Bytes of a part that comes before all pieces, if there is one. */
  readonly headBytes?: (tensor: TensorSpec) => number;
  /** Parts of a piece, each of which is compressed by itself. */
  readonly parts: number;
  /** Bytes of a part of a piece of so many values. */
  readonly partBytes: (values: number) => number;
  /** Makes a piece of its parts. */
  readonly join: (parts: readonly Uint8Array[], values: number) => Piece;
}

/** Reads compressed pieces. It keeps the sizes and one piece: readers go on where they stopped. */
export class PieceReader<Piece> {
  readonly #encoded: TensorSource;
  readonly #layout: PieceLayout<Piece>;
  readonly #offsets = new Map<string, Promise<Float64Array>>();
  /** Parts before the first piece. */
  readonly #heads: number;
  #kept: { readonly tensor: string; readonly index: number; readonly piece: Promise<Piece> } | undefined;

  constructor(encoded: TensorSource, layout: PieceLayout<Piece>) {
    this.#encoded = encoded;
    this.#layout = layout;
    this.#heads = layout.headBytes === undefined ? 0 : 1;
  }

  /**
   * Calls for each piece that `count` values from `first` on lie in, in order.
   *
   * @param take gets a piece, the position in it, how many values from there on are meant, and how many came before.
   * @throws UpdateCodecError `ENCODING_INVALID` where sizes or compressed bytes are wrong.
   */
  async read(spec: TensorSpec, first: number, count: number, take: (piece: Piece, from: number, length: number, done: number) => void): Promise<void> {
    for (let done = 0; done < count;) {
      const from = (first + done) % PIECE;
      const length = Math.min(PIECE - from, count - done);
      take(await this.#piece(spec, Math.floor((first + done) / PIECE)), from, length, done);
      done += length;
    }
  }

  /** The part before all pieces. */
  async head(spec: TensorSpec): Promise<Uint8Array> {
    return (await this.#decompress(spec, 0, [this.#layout.headBytes!(spec)], 'the part before all pieces'))[0]!;
  }

  #piece(spec: TensorSpec, index: number): Promise<Piece> {
    if (this.#kept?.tensor !== spec.name || this.#kept.index !== index) {
      const piece = this.#decompressPiece(spec, index);
      const kept = { tensor: spec.name, index, piece };
      this.#kept = kept;
      piece.catch(() => {
        if (this.#kept === kept) this.#kept = undefined;
      });
    }
    return this.#kept.piece;
  }

  async #decompressPiece(spec: TensorSpec, index: number): Promise<Piece> {
    const { parts, partBytes, join } = this.#layout;
    const values = Math.min(PIECE, elementCount(spec.shape) - index * PIECE);
    const first = this.#heads + parts * index;
    return join(await this.#decompress(spec, first, Array<number>(parts).fill(partBytes(values)), `piece ${index}`), values);
  }

  /** @param lengths of the parts from number `first` on. */
  async #decompress(spec: TensorSpec, first: number, lengths: readonly number[], what: string): Promise<Uint8Array[]> {
    const offsets = await this.#offsetsOf(spec);
    const begin = offsets[first]!;
    const sent = new Uint8Array(offsets[first + lengths.length]! - begin);
    await this.#encoded.readBytes(valuesName(spec.name), begin, sent);
    return lengths.map((length, part) => {
      try {
        return decompress(sent.subarray(offsets[first + part]! - begin, offsets[first + part + 1]! - begin), length);
      } catch (cause) {
        throw new UpdateCodecError('ENCODING_INVALID', `${what}: part ${part} does not decompress to ${length} bytes`, { tensor: spec.name, cause });
      }
    });
  }

  #offsetsOf(spec: TensorSpec): Promise<Float64Array> {
    let offsets = this.#offsets.get(spec.name);
    if (offsets === undefined) this.#offsets.set(spec.name, (offsets = this.#readOffsets(spec)));
    return offsets;
  }

  /** Where each part of each piece begins in the tensor's bytes, and at the end where the last one ends. */
  async #readOffsets(tensor: TensorSpec): Promise<Float64Array> {
    const { name, shape } = tensor;
    const { headBytes, parts, partBytes } = this.#layout;
    const [values, sizes] = [valuesName(name), sizesName(name)].map((tensor) => this.#encoded.specs.find((spec) => spec.name === tensor)!);
    const lengths = new Uint32Array(elementCount(sizes!.shape));
    await this.#encoded.readBytes(sizes!.name, 0, new Uint8Array(lengths.buffer));
    const offsets = new Float64Array(lengths.length + 1);
    const count = elementCount(shape);
    for (let index = 0; index < lengths.length; index++) {
      const piece = Math.floor((index - this.#heads) / parts);
      const length = piece < 0 ? headBytes!(tensor) : partBytes(Math.min(PIECE, count - piece * PIECE));
      if (lengths[index]! > length) throw new UpdateCodecError('ENCODING_INVALID', `a part of ${length} bytes claims to be compressed to ${lengths[index]!}`, { tensor: name });
      offsets[index + 1] = offsets[index]! + lengths[index]!;
    }
    if (offsets.at(-1) !== elementCount(values!.shape)) throw new UpdateCodecError('ENCODING_INVALID', 'the sizes of its parts do not add up to its bytes', { tensor: name });
    return offsets;
  }
}
