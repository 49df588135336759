/** Below this a round trip costs more than the piece, on every line but the thinnest. */
export const MIN_PIECE_BYTES = 1 << 18;
export const MAX_PIECE_BYTES = 128 << 20;
const FIRST_PIECE_BYTES = 1 << 20;
/** A piece takes about so long on this line, in ms: a cut then costs no more than that, and a server that many send to keeps up. */
const PIECE_MS = 2000;
/** Below this a proxy that refuses a body for its size is believed to refuse every body. */
const LEAST_PIECE_BYTES = 1 << 16;
/** After so many pieces of the size that once failed to be exceeded, a larger one is tried again. */
const TRUST_AFTER = 16;

/** How many bytes of an upload go into one request: as many as the line carries in two seconds, and as a proxy takes. */
export class Pieces {
  #size = FIRST_PIECE_BYTES;
  #most = MAX_PIECE_BYTES;
  #atMost = 0;

  get size(): number {
    return this.#size;
  }

  /** A piece of so many bytes took so long, in ms. */
  took(bytes: number, ms: number): void {
    // A last piece is short, and says little about the line.
    if (bytes !== this.#size) return;
    if (this.#size === this.#most && ++this.#atMost >= TRUST_AFTER) {
      this.#most = Math.min(MAX_PIECE_BYTES, 2 * this.#most);
      this.#atMost = 0;
    }
    const fitting = Math.max(MIN_PIECE_BYTES, Math.floor((bytes / Math.max(ms, 1)) * PIECE_MS));
    this.#size = Math.min(this.#most, 2 * this.#size, fitting);
  }

  /** A piece did not get through, or something on the way refused it for its size. @returns whether a smaller one is worth trying. */
  failed(): boolean {
    if (this.#size <= LEAST_PIECE_BYTES) return false;
    this.#size = Math.max(LEAST_PIECE_BYTES, Math.floor(this.#size / 2));
    this.#most = this.#size;
    this.#atMost = 0;
    return true;
  }
}
