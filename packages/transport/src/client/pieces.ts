/** A piece is sent again whole when a proxy that collects bodies loses its connection. */
export const MIN_PIECE_BYTES = 1 << 20;
export const MAX_PIECE_BYTES = 32 << 20;
const FIRST_PIECE_BYTES = 4 << 20;
/** A piece takes about so long on this line, in ms: a cut then costs no more than that. */
const PIECE_MS = 2000;
/** Below this a proxy that refuses a body for its size is believed to refuse every body. */
const LEAST_PIECE_BYTES = 1 << 16;

/** How many bytes of an upload go into one request: as many as the line carries in two seconds, and as a proxy takes. */
export class Pieces {
  #size = FIRST_PIECE_BYTES;
  #most = MAX_PIECE_BYTES;

  get size(): number {
    return this.#size;
  }

  /** A piece of so many bytes took so long, in ms. */
  took(bytes: number, ms: number): void {
    // A last piece is short, and says little about the line.
    if (bytes !== this.#size) return;
    const fitting = Math.max(MIN_PIECE_BYTES, Math.floor((bytes / Math.max(ms, 1)) * PIECE_MS));
    this.#size = Math.min(this.#most, 2 * this.#size, fitting);
  }

  /** Something on the way refused a piece for its size. @returns whether a smaller one is worth trying. */
  refused(): boolean {
    if (this.#size <= LEAST_PIECE_BYTES) return false;
    this.#size = Math.max(LEAST_PIECE_BYTES, Math.floor(this.#size / 2));
    this.#most = this.#size;
    return true;
  }
}
