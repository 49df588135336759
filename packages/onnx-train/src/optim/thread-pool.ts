import { errorMessage } from '@zk0/core/errors';
import type { Worker } from 'node:worker_threads';
import { SessionError } from '../errors.ts';
import { startWorker } from '../threads/start-worker.ts';

/** Threads that all get the same message and each answer once. */
export class ThreadPool {
  readonly #workers: readonly Worker[];
  #failure: SessionError | undefined;
  #waiting: { resolve: () => void; reject: (error: Error) => void; left: number } | undefined;

  constructor(file: string, threads: number, workerData: unknown) {
    this.#workers = Array.from({ length: threads }, () => startWorker(`optim/${file}`, file, workerData));
    for (const worker of this.#workers) {
      worker.on('message', () => {
        this.#answered();
      });
      worker.on('error', (error) => {
        this.#fail(errorMessage(error), error);
      });
      worker.on('exit', (code) => {
        this.#fail(`ended with code ${code}`);
      });
      // Idle threads must not keep the process alive.
      worker.unref();
    }
  }

  /** Sends a message to all threads and waits for all answers. */
  async broadcast(message: unknown): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await new Promise<void>((resolve, reject) => {
      this.#waiting = { resolve, reject, left: this.#workers.length };
      for (const worker of this.#workers) {
        worker.ref();
        worker.postMessage(message);
      }
    });
  }

  async close(): Promise<void> {
    this.#failure ??= new SessionError('SESSION_CLOSED', 'the threads were closed');
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #answered(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || --waiting.left > 0) return;
    this.#waiting = undefined;
    for (const worker of this.#workers) worker.unref();
    waiting.resolve();
  }

  #fail(reason: string, cause?: unknown): void {
    this.#failure ??= new SessionError('WORKER_CRASHED', `an optimiser's thread failed: ${reason}`, {
      ...(cause !== undefined && { cause }),
    });
    this.#waiting?.reject(this.#failure);
    this.#waiting = undefined;
  }
}
