import { Worker } from 'node:worker_threads';
import { InvalidArgumentError, type TensorPlace } from '@zk0/core';
import type { CompiledKernel } from '../kernels/kernel.ts';
import { UnreadableError, type Block, type BlockPlace } from './block.ts';
import { WorkerCrashedError } from '../errors.ts';
import { InlineExecutor, type Executor } from './executor.ts';

/** What a worker is told. */
export type WorkerRequest =
  /** For the blocks to come. */
  | { readonly kind: 'kernels'; readonly kernels: readonly CompiledKernel[] }
  | { readonly kind: 'buffer'; readonly slot: number; readonly buffer: SharedArrayBuffer }
  | { readonly kind: 'share'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: 'block'; readonly slot: number; readonly block: Block };

/** What it answers to a block. */
export type WorkerReply =
  | { readonly kind: 'done'; readonly slot: number; readonly partial: Float64Array }
  | { readonly kind: 'unreadable'; readonly slot: number }
  | { readonly kind: 'failed'; readonly slot: number; readonly error: unknown };

/** More threads than this only contend for memory. */
export const MAX_WORKERS = 64;

/** Blocks in flight per thread: one is computed while the next waits for it and the one before is written. */
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
  readonly #shared = new Map<Uint8Array, number>();
  readonly #waiters = new Map<number, Waiter>();
  #failure: WorkerCrashedError | undefined;
  #isClosing = false;
  #lastTurn = Promise.resolve();

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

  /** Waits for the pool, first come, first served; call what it returns to let the next one have it. */
  async acquire(): Promise<() => void> {
    const turn = this.#lastTurn;
    let release!: () => void;
    this.#lastTurn = new Promise((resolve) => {
      release = resolve;
    });
    await turn;
    return release;
  }

  /** Whether a thread has died: then every call fails with `WORKER_CRASHED`, and the pool is to be closed and replaced. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  reaches(place: TensorPlace): boolean {
    return place.kind === 'file' || place.bytes.buffer instanceof SharedArrayBuffer;
  }

  begin(kernels: readonly CompiledKernel[]): void {
    this.#shared.clear();
    this.#tellAll({ kind: 'kernels', kernels });
  }

  buffer(slot: number, bytes: number): SharedArrayBuffer {
    const present = this.#buffers[slot];
    if (present !== undefined && present.byteLength >= bytes) return present;
    const buffer = new SharedArrayBuffer(bytes);
    this.#buffers[slot] = buffer;
    this.#tell(slot, { kind: 'buffer', slot, buffer });
    return buffer;
  }

  run(slot: number, block: Block): Promise<Float64Array> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiters.set(slot, { resolve, reject });
      const operands = block.operands.map(({ data, scales }) => ({ data: this.#share(data), scales: scales && this.#share(scales) }));
      const results = block.results.map((place) => this.#share(place));
      this.#tell(slot, { kind: 'block', slot, block: { ...block, operands, results } });
    });
  }

  /** Memory is named by number, once every thread knows it. */
  #share(place: BlockPlace): BlockPlace {
    if (place.kind !== 'own' || place.place.kind !== 'memory') return place;
    const { bytes } = place.place;
    let id = this.#shared.get(bytes);
    if (id === undefined) {
      id = this.#shared.size;
      this.#shared.set(bytes, id);
      this.#tellAll({ kind: 'share', id, bytes });
    }
    return { kind: 'shared', id, begin: place.begin };
  }

  #tell(slot: number, request: WorkerRequest): void {
    this.#workers[slot % this.#workers.length]!.postMessage(request);
  }

  #tellAll(request: WorkerRequest): void {
    for (const worker of this.#workers) worker.postMessage(request);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #fail(cause: unknown): void {
    const failure = (this.#failure ??= new WorkerCrashedError(cause));
    for (const { reject } of this.#waiters.values()) reject(failure);
    this.#waiters.clear();
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
      switch (reply.kind) {
        case 'done':
          waiter?.resolve(reply.partial);
          return;
        case 'unreadable':
          waiter?.reject(new UnreadableError('a file could not be read'));
          return;
        case 'failed':
          waiter?.reject(reply.error);
      }
    });
    worker.on('error', (error) => {
      this.#fail(error);
    });
    worker.on('exit', (code) => {
      if (!this.#isClosing) this.#fail(new Error(`exit code ${code}`));
    });
    return worker;
  }
}

/** Runs work on the given pool, on threads of its own, or (0) on the calling thread. */
export async function withExecutor<T>(workers: number | WorkerPool, work: (executor: Executor) => Promise<T>): Promise<T> {
  if (workers === 0) return work(new InlineExecutor());
  if (workers instanceof WorkerPool) {
    const release = await workers.acquire();
    try {
      return await work(workers);
    } finally {
      release();
    }
  }
  const pool = new WorkerPool(workers);
  try {
    return await work(pool);
  } finally {
    await pool.close();
  }
}
