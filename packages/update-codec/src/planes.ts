import { PLANES } from './container.ts';
import { compress, type PieceLayout } from './frames.ts';

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
      const compressed = compress(bytes);
      if (compressed === bytes) this.#pauses[plane] = PAUSE;
      return compressed;
    });
  }
}

/** Planes of a piece, which make words of its values' bits. */
export const PLANE_LAYOUT: PieceLayout<Uint32Array> = {
  parts: PLANES,
  partBytes: (values) => values,
  join(planes, values) {
    const words = new Uint32Array(values);
    planes.forEach((bytes, plane) => {
      const shift = 8 * plane;
      for (let index = 0; index < values; index++) words[index]! |= bytes[index]! << shift;
    });
    return words;
  },
};
