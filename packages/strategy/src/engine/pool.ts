import { Worker } from 'node:worker_threads';
import { InvalidArgumentError } from '@zk0/core';
import type { Block } from '../kernels/block.ts';
import type { KernelSpec } from '../kernels/kernel.ts';
import { InlineExecutor, type Executor } from './executor.ts';

/** What a worker is told. The buffer is shared, not copied. */
export interface WorkerRequest {
  readonly slot: number;
  readonly spec: KernelSpec;
  readonly block: Block;
  readonly buffer: SharedArrayBuffer;
}

/** What it answers. */
export type WorkerReply =
  | { readonly slot: number; readonly partial: Float64Array }
  | { readonly slot: number; readonly error: unknown };

/** More threads than this only contend for memory. */
export const MAX_WORKERS = 64;

/** Blocks in flight per thread: one is computed while the next is read and the one before is written. */
const SLOTS_PER_WORKER = 3;

interface Waiter {
  readonly resolve: (partial: Float64Array) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Worker threads over shared memory, for one aggregation after another: starting threads and warming them up takes longer than
 * many an aggregation. Slots are dealt to threads in turn.
 */
export class WorkerPool implements Executor {
  readonly slots: number;
  readonly #workers: readonly Worker[];
  readonly #buffers: SharedArrayBuffer[] = [];
  readonly #waiters = new Map<number, Waiter>();
  #failure: Error | undefined;
  #inUse = false;

  /**
   * @param workers Number of threads, 1 to {@link MAX_WORKERS}.
   * @throws InvalidArgumentError when it is another.
   */
  constructor(workers: number) {
    if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS) {
      throw new InvalidArgumentError(`${workers} worker threads: use 1 to ${MAX_WORKERS}`);
    }
    this.slots = workers * SLOTS_PER_WORKER;
    this.#workers = Array.from({ length: workers }, () => this.#start());
  }

  /**
   * Takes the pool for one aggregation.
   *
   * @throws InvalidArgumentError while another has it.
   */
  claim(): void {
    if (this.#inUse) throw new InvalidArgumentError('the worker pool is busy with another aggregation');
    this.#inUse = true;
  }

  release(): void {
    this.#inUse = false;
  }

  buffer(slot: number, bytes: number): SharedArrayBuffer {
    const present = this.#buffers[slot];
    if (present !== undefined && present.byteLength >= bytes) return present;
    return (this.#buffers[slot] = new SharedArrayBuffer(bytes));
  }

  run(slot: number, spec: KernelSpec, block: Block): Promise<Float64Array> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiters.set(slot, { resolve, reject });
      const request: WorkerRequest = { slot, spec, block, buffer: this.#buffers[slot]! };
      this.#workers[slot % this.#workers.length]!.postMessage(request);
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #start(): Worker {
    // Unbuilt, this file and the worker are TypeScript side by side; built, both are chunks in one folder.
    const isSource = import.meta.url.endsWith('.ts');
    const worker = new Worker(
      new URL(isSource ? './worker.ts' : './worker.js', import.meta.url),
      isSource ? { execArgv: ['--conditions=@zk0/source'] } : {},
    );
    worker.on('message', (reply: WorkerReply) => {
      const waiter = this.#waiters.get(reply.slot);
      this.#waiters.delete(reply.slot);
      if ('partial' in reply) waiter?.resolve(reply.partial);
      else waiter?.reject(reply.error);
    });
    worker.on('error', (error) => {
      this.#failure = error as Error;
      for (const { reject } of this.#waiters.values()) reject(error);
      this.#waiters.clear();
    });
    return worker;
  }
}

/** Runs work on the given pool, on threads of its own, or (0) on the calling thread. */
export async function withExecutor<T>(workers: number | WorkerPool, work: (executor: Executor) => Promise<T>): Promise<T> {
  if (workers === 0) return work(new InlineExecutor());
  if (workers instanceof WorkerPool) {
    workers.claim();
    try {
      return await work(workers);
    } finally {
      workers.release();
    }
  }
  const pool = new WorkerPool(workers);
  try {
    return await work(pool);
  } finally {
    await pool.close();
  }
}
