/** It takes any bytes, not only a `Buffer`. */
const { copy } = Buffer.prototype as { readonly copy: (this: Uint8Array, to: Uint8Array, at: number, begin: number, end: number) => number };

/**
 * Copies bytes `begin…end` of one array to another, at `at`. What `TypedArray.set` does, at the speed of memory also where either lies in a
 * `SharedArrayBuffer`: there `set` goes word by word, so that other threads never see half of one. Here they may: it is for memory
 * that one thread at a time has to itself.
 */
export function copyBytes(from: Uint8Array, begin: number, end: number, to: Uint8Array, at: number): void {
  copy.call(from, to, at, begin, end);
}
