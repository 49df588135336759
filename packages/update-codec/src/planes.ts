import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { PLANES } from './container.ts';

/** Pieces are at most 32 KiB a plane: a frame that asks for a larger window is not one of ours. */
const WINDOW_LOG = 15;
const COMPRESSION = { params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_windowLog]: WINDOW_LOG } };

/** After a piece in which a plane did not get smaller, compressing it is not tried for so many pieces: low bytes are noise throughout. */
const PAUSE = 7;

/** Makes the planes of a tensor's pieces, one piece after the other. */
export class PlaneCompressor {
  readonly #pauses = new Uint32Array(PLANES);

  /** The planes of a piece as they are sent: the lowest byte of every value first. A plane that does not get smaller stays as it is. */
  compress(words: Uint32Array): readonly Uint8Array[] {
    return Array.from({ length: PLANES }, (_, plane) => {
      const bytes = new Uint8Array(words.length);
      const shift = 8 * plane;
      for (let index = 0; index < words.length; index++) bytes[index] = words[index]! >>> shift;
      if (this.#pauses[plane]! > 0) {
        this.#pauses[plane]! -= 1;
        return bytes;
      }
      const compressed = zstdCompressSync(bytes, COMPRESSION);
      if (compressed.byteLength < bytes.byteLength) return compressed;
      this.#pauses[plane] = PAUSE;
      return bytes;
    });
  }
}

/**
 * Adds a plane to words.
 *
 * @throws Error when the bytes are not exactly one plane of so many values.
 */
export function addPlane(sent: Uint8Array, plane: number, words: Uint32Array): void {
  const bytes = sent.byteLength === words.length ? sent : decompress(sent, words.length);
  const shift = 8 * plane;
  for (let index = 0; index < words.length; index++) words[index]! |= bytes[index]! << shift;
}

function decompress(sent: Uint8Array, length: number): Uint8Array {
  // The limit holds while it is decompressed: nothing grows beyond a plane.
  const bytes = zstdDecompressSync(sent, { maxOutputLength: length, params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG } });
  if (bytes.byteLength !== length) throw new Error(`${bytes.byteLength} bytes, not ${length}`);
  return bytes;
}
