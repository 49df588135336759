import { createCipheriv, type Cipheriv } from 'node:crypto';

/** Bytes of a stream's key: AES-128, as strong as X25519. */
export const MASK_KEY_BYTES = 16;

/** Elements that are masked at a time; a block of all of them stays in a core's cache. */
export const MASK_BLOCK = 1 << 16;

const ZEROS = new Uint8Array(4 * MASK_BLOCK);

/**
 * A stream of uniform elements of the ring of integers modulo 2³²: the key stream of AES-128 in counter mode, four bytes an element,
 * little-endian. The key is used for one stream only, so the counter begins with 0.
 */
export class MaskStream {
  readonly #cipher: Cipheriv;
  readonly #sign: 1 | -1;

  /** @param sign whether {@link apply} adds the stream or takes it away. */
  constructor(key: Uint8Array, sign: 1 | -1) {
    this.#cipher = createCipheriv('aes-128-ctr', key, new Uint8Array(16));
    this.#sign = sign;
  }

  /** Adds the next elements of the stream to `values`, or takes them away, modulo 2³². At most {@link MASK_BLOCK} at a time. */
  apply(values: Int32Array): void {
    const bytes = this.#cipher.update(ZEROS.subarray(0, values.byteLength));
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
    const mask = new Int32Array(aligned.buffer, aligned.byteOffset, values.length);
    if (this.#sign === 1) {
      for (let index = 0; index < values.length; index++) values[index] = (values[index]! + mask[index]!) | 0;
    } else {
      for (let index = 0; index < values.length; index++) values[index] = (values[index]! - mask[index]!) | 0;
    }
  }
}

/** Applies streams to consecutive blocks of one vector; how it is cut into pieces changes nothing. */
export class Masks {
  readonly #streams: readonly MaskStream[];

  constructor(streams: readonly MaskStream[]) {
    this.#streams = streams;
  }

  /** Applies every stream to the next elements of the vector, in place. */
  apply(values: Int32Array): void {
    for (let start = 0; start < values.length; start += MASK_BLOCK) {
      const block = values.subarray(start, start + MASK_BLOCK);
      for (const stream of this.#streams) stream.apply(block);
    }
  }
}
