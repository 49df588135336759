import { InvalidArgumentError } from '@zk0/core/errors';
import { elementCount } from '@zk0/core/tensors';
import type { Tensor } from '../session/tensor.ts';
import { MOST_WASM_BYTES, wasmMemory, type WasmMemory } from './wasm.ts';

/** Tensors begin at whole vectors, and nothing else lies in the last vector of one. */
const VECTOR_BYTES = 16;

/**
 * Shared memory that sessions compute gradients into and that an {@link Optimizer} works in where it lies. Memory from elsewhere
 * it copies in and out at every step, which takes as long as its arithmetic.
 */
export class OptimizerArena {
  /** For the optimiser's functions. */
  readonly memory: WasmMemory;
  readonly #bytes: number;
  #used = 0;

  /** Whether so many values in so many tensors fit into one arena, which holds 4 GiB. */
  static fits(values: number, tensors: number): boolean {
    return 4 * values + VECTOR_BYTES * tensors <= MOST_WASM_BYTES;
  }

  /** @param shapes of every tensor that {@link tensor} will be asked for */
  constructor(shapes: readonly (readonly number[])[]) {
    this.#bytes = shapes.reduce((sum, shape) => sum + bytesOf(shape), 0);
    this.memory = wasmMemory(this.#bytes, true);
  }

  /** Zeros that nothing else uses. They stay until the whole arena is dropped. */
  tensor(shape: readonly number[]): Tensor & { readonly data: Float32Array } {
    const begin = this.#used;
    if (begin + bytesOf(shape) > this.#bytes) {
      throw new InvalidArgumentError(`an arena of ${this.#bytes} bytes has no room for [${shape.join(', ')}] behind ${begin} bytes`);
    }
    this.#used += bytesOf(shape);
    return { dtype: 'float32', shape, data: new Float32Array(this.memory.buffer, begin, elementCount(shape)) };
  }

  /** Whether an array lies in this arena. */
  holds({ buffer }: Float32Array): boolean {
    return buffer === this.memory.buffer;
  }
}

function bytesOf(shape: readonly number[]): number {
  return Math.ceil((4 * elementCount(shape)) / VECTOR_BYTES) * VECTOR_BYTES;
}
