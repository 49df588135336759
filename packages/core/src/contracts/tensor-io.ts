import type { TensorSpec } from '../tensors/dtype.ts';

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
}

/** Where named tensors are written piece by piece; the specs are declared when the sink is made. */
export interface TensorSink {
  readonly specs: readonly TensorSpec[];
  /** Writes little-endian bytes of a tensor at `byteOffset`. Every byte of every tensor must be written exactly once. */
  writeBytes(name: string, byteOffset: number, bytes: Uint8Array): Promise<void>;
}
