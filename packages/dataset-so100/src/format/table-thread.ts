import { stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { errorMessage } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { FrameTable } from '../read/frame-table.ts';
import type { ImageColumn } from './image-column.ts';
import type { VectorFeature } from './info.ts';
import type { TableReply, TableTask } from './table-messages.ts';
import type { ColumnChoice, TableReader, TableRow } from './table-reader.ts';
import { watchThread } from './thread-watch.ts';

/** Processor time for a file, and more for every byte: a thousand times what a sound one needs. */
const BASE_PROCESSOR_MS = 4000;
const PROCESSOR_MS_PER_BYTE = 1e-3;

/** A thread that waits for a disk or for its turn on a busy machine is given this many times as long. */
const WALL_FACTOR = 15;

/** Memory of the thread's heap; a data file of 100 MB needs about 400 MB while it is read. */
const MAX_HEAP_MB = 1536;

/** How long an idle thread is kept for the next dataset. */
const IDLE_MS = 2000;

/** The thread of this process; starting one costs as much as reading a small dataset. */
let shared: TableThread | null = null;

/**
 * Reads parquet files in a thread of its own, one at a time. A damaged file can make the decoder run for ever or fill
 * the memory (a run length is only four bytes): the thread is ended then, and the process goes on. An idle thread keeps
 * no process alive.
 */
export class TableThread implements TableReader {
  #worker: Worker | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #users = 0;
  #idle: NodeJS.Timeout | undefined;

  private constructor() {}

  /** Runs `use` with the thread of this process, started if need be. */
  static async use<T>(use: (tables: TableReader) => Promise<T>): Promise<T> {
    const thread = (shared ??= new TableThread());
    thread.#users++;
    clearTimeout(thread.#idle);
    try {
      return await use(thread);
    } finally {
      thread.#users--;
      if (thread.#users === 0) thread.#idle = setTimeout(() => void thread.#stop(), IDLE_MS).unref();
    }
  }

  async frames(path: string, state: VectorFeature, action: VectorFeature): Promise<FrameTable> {
    const reply = await this.#enqueue({ kind: 'frames', path, state, action });
    return (reply as { frames: FrameTable }).frames;
  }

  async images(path: string, column: string, spool: string): Promise<ImageColumn> {
    const reply = await this.#enqueue({ kind: 'images', path, column, spool });
    return (reply as { images: ImageColumn }).images;
  }

  async rows(path: string, columns: ColumnChoice, maxRows: number): Promise<readonly TableRow[]> {
    const reply = await this.#enqueue({ kind: 'rows', path, columns, maxRows });
    return (reply as { rows: readonly TableRow[] }).rows;
  }

  async #enqueue(task: TableTask): Promise<TableReply> {
    const turn = this.#last.then(() => this.#perform(task));
    this.#last = turn.catch(() => undefined);
    return await turn;
  }

  async #perform(task: TableTask): Promise<TableReply> {
    const { size } = await stat(task.path);
    const worker = (this.#worker ??= startWorker());
    const processorMs = BASE_PROCESSOR_MS + size * PROCESSOR_MS_PER_BYTE;
    const listening = new AbortController();
    worker.ref();
    try {
      const reply = await new Promise<TableReply>((resolve, reject) => {
        const watch = watchThread(worker, { processorMs, wallMs: processorMs * WALL_FACTOR }, (reason) => {
          reject(new Error(reason));
        });
        const onExit = (): void => {
          reject(new Error('the thread that read it ended'));
        };
        worker.on('message', resolve).on('error', reject).on('exit', onExit).postMessage(task);
        listening.signal.addEventListener('abort', () => {
          watch.stop();
          worker.off('message', resolve).off('error', reject).off('exit', onExit);
        });
      });
      if ('failure' in reply) throw toError(reply.failure);
      return reply;
    } catch (cause) {
      if (cause instanceof DatasetError) throw cause;
      await this.#stop(true);
      throw new DatasetError('DATASET_FILE_DAMAGED', `${task.path} is no readable parquet file: ${errorMessage(cause)}`, {
        file: task.path,
        hint: 'Copy or download the file again.',
        cause,
      });
    } finally {
      listening.abort();
      worker.unref();
    }
  }

  async #stop(isHanging = false): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    if (worker === null) return;
    // What a thread still throws while it is being ended has no listener of its own and would end the process.
    worker.on('error', () => undefined);
    if (isHanging) {
      await worker.terminate();
      return;
    }
    const exit = new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage('close');
    await exit;
  }
}

function startWorker(): Worker {
  // From source this module is format/table-thread.ts; built, it is part of dist/*.js with the worker beside it.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new Worker(new URL(`./table-worker.${extension}`, import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  });
}

function toError(failure: Extract<TableReply, { failure: unknown }>['failure']): DatasetError {
  const { code, message, hint, file, row, episode } = failure;
  return new DatasetError(code, message, {
    ...(hint === undefined ? {} : { hint }),
    ...(file === undefined ? {} : { file }),
    ...(row === undefined ? {} : { row }),
    ...(episode === undefined ? {} : { episode }),
  });
}
