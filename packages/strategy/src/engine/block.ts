import { readSync } from 'node:fs';
import { copyBytes, type TensorPlace } from '@zk0/core';
import { KernelInstance, type CompiledKernel } from '../kernels/kernel.ts';
import { dataBytes, scaleBytes, type Region } from '../kernels/layout.ts';
import { newMemory } from '../wasm/runtime.ts';

/** Where bytes of a block lie. */
export type BlockPlace =
  /** In the slot's buffer. */
  | { readonly kind: 'buffer'; readonly begin: number }
  /** Where their source or sink has them, from byte `begin` of that on. */
  | { readonly kind: 'own'; readonly place: TensorPlace; readonly begin: number }
  /** The same for memory that the thread has already: to send it again with every block takes longer than the computation. */
  | { readonly kind: 'shared'; readonly id: number; readonly begin: number };

/** A run of one tensor's elements, with where to find and leave everything that belongs to it: what a thread is given at a time. */
export interface Block {
  /** Position in the list that the thread was given. */
  readonly kernel: number;
  readonly tensor: string;
  /** First element; a multiple of the kernel's tile. */
  readonly offset: number;
  readonly length: number;
  readonly operands: readonly { readonly data: BlockPlace; readonly scales: BlockPlace | null }[];
  readonly results: readonly BlockPlace[];
}

/** A file did not give what it should. Its source knows why: ask that. */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError';
}

/** What one thread computes with: memory of its own, and the kernels of the pass that is under way. */
export class BlockComputer {
  readonly #memory = newMemory();
  readonly #shared = new Map<number, Uint8Array>();
  #kernels: readonly CompiledKernel[] = [];
  #instance: KernelInstance | undefined;

  /** Takes the kernels of a pass. */
  begin(kernels: readonly CompiledKernel[]): void {
    this.#kernels = kernels;
    this.#shared.clear();
  }

  /** Gives memory a number, for the blocks of this pass. */
  share(id: number, bytes: Uint8Array): void {
    this.#shared.set(id, bytes);
  }

  /**
   * Computes a block tile by tile and returns the kernel's partial sums; results are left in `buffer`.
   *
   * @throws UnreadableError when a file that an operand lies in cannot be read.
   */
  compute(block: Block, buffer: ArrayBufferLike): Float64Array {
    const kernel = this.#kernels[block.kernel]!;
    // Kernels use the same memory, each from its start: only one is ready at a time.
    if (this.#instance?.kernel !== kernel) this.#instance = new KernelInstance(kernel, this.#memory);
    return computeBlock(this.#instance, block, { slot: new Uint8Array(buffer), shared: this.#shared });
  }
}

/** The memory that places are about. */
interface Places {
  readonly slot: Uint8Array;
  readonly shared: ReadonlyMap<number, Uint8Array>;
}

function computeBlock(instance: KernelInstance, block: Block, places: Places): Float64Array {
  const { layout, step } = instance.kernel;
  const { tensor, offset, length, operands, results } = block;
  const partial = instance.partial();
  for (let start = 0; start < length; start += layout.tile) {
    const count = Math.min(layout.tile, length - start);
    const padded = Math.ceil(count / step) * step;
    for (const [index, { data, scales }] of operands.entries()) {
      fetchOperand(instance.bytes, layout.operands[index]!, data, scales, places, start, count, padded);
    }
    instance.process({ tensor, offset: offset + start, length: count }, start, partial);
    for (const [index, place] of results.entries()) {
      const { dtype, begin } = layout.results[index]!;
      copyBytes(instance.bytes, begin, begin + dataBytes(dtype, count), memoryOf(place, places), place.begin + dataBytes(dtype, start));
    }
  }
  return partial;
}

function fetchOperand(
  memory: Uint8Array,
  { dtype, begin, scaleBegin }: Region,
  data: BlockPlace,
  scales: BlockPlace | null,
  places: Places,
  start: number,
  count: number,
  padded: number,
): void {
  const size = dataBytes(dtype, count);
  fetchBytes(memory, begin, data, dataBytes(dtype, start), size, places);
  if (padded > count) memory.fill(0, begin + size, begin + dataBytes(dtype, padded));
  if (scales === null) return;
  const scaleSize = scaleBytes(dtype, count);
  fetchBytes(memory, scaleBegin, scales, scaleBytes(dtype, start), scaleSize, places);
  const paddedScales = scaleBytes(dtype, padded);
  if (paddedScales > scaleSize) memory.fill(0, scaleBegin + scaleSize, scaleBegin + paddedScales);
}

function fetchBytes(memory: Uint8Array, begin: number, place: BlockPlace, from: number, size: number, places: Places): void {
  const start = place.begin + from;
  if (place.kind === 'own' && place.place.kind === 'file') {
    readFile(memory, begin, place.place.descriptor, place.place.position + start, size);
  } else copyBytes(memoryOf(place, places), start, start + size, memory, begin);
}

function memoryOf(place: BlockPlace, { slot, shared }: Places): Uint8Array {
  switch (place.kind) {
    case 'buffer':
      return slot;
    case 'shared':
      return shared.get(place.id)!;
    case 'own':
      if (place.place.kind === 'memory') return place.place.bytes;
      throw new TypeError('results are not written to files here');
  }
}

function readFile(memory: Uint8Array, begin: number, descriptor: number, position: number, size: number): void {
  let done = 0;
  while (done < size) {
    let read: number;
    try {
      read = readSync(descriptor, memory, begin + done, size - done, position + done);
    } catch (error) {
      throw new UnreadableError('a file could not be read', { cause: error });
    }
    if (read === 0) throw new UnreadableError('a file was cut short');
    done += read;
  }
}
