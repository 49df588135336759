import { setImmediate } from 'node:timers/promises';
import type { TensorPlace } from '@zk0/core';
import type { CompiledKernel } from '../kernels/kernel.ts';
import { BlockComputer, type Block } from './block.ts';

/** Runs a kernel on blocks. */
export interface Executor {
  /** Blocks that may be in flight at once. */
  readonly slots: number;
  /** Whether the threads that compute can fetch from there themselves. */
  reaches(place: TensorPlace): boolean;
  /** The kernels of the blocks to come. None may be in flight. */
  begin(kernels: readonly CompiledKernel[]): void;
  /** Memory for a slot, at least `bytes` long; the same slot keeps its memory while it is large enough. */
  buffer(slot: number, bytes: number): ArrayBufferLike;
  /** @throws UnreadableError when a file that an operand lies in cannot be read. */
  run(slot: number, block: Block): Promise<Float64Array>;
}

/** Computes on the calling thread, and lets others have it between two blocks. */
export class InlineExecutor implements Executor {
  /** So that one block is read, where it must be asked for, while another is written. */
  readonly slots = 2;
  readonly #computer = new BlockComputer();
  readonly #buffers: ArrayBuffer[] = [];

  reaches(): boolean {
    return true;
  }

  begin(kernels: readonly CompiledKernel[]): void {
    this.#computer.begin(kernels);
  }

  buffer(slot: number, bytes: number): ArrayBuffer {
    const present = this.#buffers[slot];
    if (present !== undefined && present.byteLength >= bytes) return present;
    return (this.#buffers[slot] = new ArrayBuffer(bytes));
  }

  async run(slot: number, block: Block): Promise<Float64Array> {
    await setImmediate();
    return this.#computer.compute(block, this.#buffers[slot]!);
  }
}
