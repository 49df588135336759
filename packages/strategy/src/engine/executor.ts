import { Scratch, type Block } from '../kernels/block.ts';
import { runKernel, type KernelSpec } from '../kernels/kernel.ts';

/** Runs kernels on buffers that it handed out. */
export interface Executor {
  /** Blocks that may be in flight at once. */
  readonly slots: number;
  /** Memory for a slot, at least `bytes` long; the same slot keeps its memory while it is large enough. */
  buffer(slot: number, bytes: number): ArrayBufferLike;
  run(slot: number, spec: KernelSpec, block: Block): Promise<Float64Array>;
}

/** Computes on the calling thread. Two slots, so that one block is read while the other is computed. */
export class InlineExecutor implements Executor {
  readonly slots = 2;
  readonly #scratch = new Scratch();
  readonly #buffers: ArrayBuffer[] = [];

  buffer(slot: number, bytes: number): ArrayBuffer {
    const present = this.#buffers[slot];
    if (present !== undefined && present.byteLength >= bytes) return present;
    return (this.#buffers[slot] = new ArrayBuffer(bytes));
  }

  run(slot: number, spec: KernelSpec, block: Block): Promise<Float64Array> {
    return Promise.resolve(runKernel(spec, block, this.#buffers[slot]!, this.#scratch));
  }
}
