import type { TensorSpec } from '../tensors/dtype.ts';

/**
 * Where a tensor's bytes lie, for a reader that fetches them itself: on another thread, or without a copy in between. It holds as long
 * as the source is open.
 */
export type TensorPlace =
  /** From byte `position` of an open file; descriptors are the process's, so every thread can use them. */
  | { readonly kind: 'file'; readonly descriptor: number; readonly position: number }
  /** In memory, which other threads see where it is a `SharedArrayBuffer`. */
  | { readonly kind: 'memory'; readonly bytes: Uint8Array };

/**
 * Named tensors that are read piece by piece, so that a model never has to be in memory whole.
 *
 * `@zk0/storage` implements it over safetensors files, {@link MemoryTensorSource} over arrays.
 */
export interface TensorSource {
  /** Every tensor, sorted by name in code-unit order. */
  readonly specs: readonly TensorSpec[];
  /**
   * Fills `into` with the tensor's little-endian bytes from `byteOffset` on.
   *
   * @throws Zk0Error when the tensor is unknown or the range leaves it.
   */
  readBytes(name: string, byteOffset: number, into: Uint8Array): Promise<void>;
  /**
   * Where the tensor lies; absent where only {@link readBytes} can tell. A reader that meets an error there asks `readBytes`, which
   * knows what to say about it.
   *
   * @throws Zk0Error when the tensor is unknown.
   */
  locate?(name: string): TensorPlace;
}

/** Where named tensors are written piece by piece; the specs are declared when the sink is made. */
export interface TensorSink {
  readonly specs: readonly TensorSpec[];
  /** Writes little-endian bytes of a tensor at `byteOffset`. Every byte of every tensor must be written exactly once. */
  writeBytes(name: string, byteOffset: number, bytes: Uint8Array): Promise<void>;
  /**
   * Where in memory the tensor will lie, for threads that put bytes there themselves. {@link writeBytes} must be told all the same,
   * with the very bytes that lie there. Absent where there is no such memory.
   */
  locate?(name: string): Extract<TensorPlace, { readonly kind: 'memory' }>;
  /** Forgets all that was written, so that it can be written again; absent where that cannot be done. No write may be under way. */
  restart?(): void;
}
