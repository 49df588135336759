import { CancelledError, errorMessage } from '@zk0/core';
import type { Worker } from 'node:worker_threads';
import { SessionError } from '../errors.ts';
import type { ValueType } from '../graph/value.ts';
import { startWorker } from '../threads/start-worker.ts';
import type { WorkerReply, WorkerRequest, WorkerStart } from './protocol.ts';
import type { Tensors } from './tensor.ts';

interface Job {
  readonly request: WorkerRequest;
  readonly resolve: (tensors: Tensors) => void;
  readonly reject: (error: Error) => void;
  readonly signal: AbortSignal | undefined;
}

type State =
  /** Jobs are taken. */
  | { readonly kind: 'open' }
  /** No more jobs are taken; the thread ends once the running one has. */
  | { readonly kind: 'closing'; readonly ended: Promise<void> }
  /** The thread died by itself. */
  | { readonly kind: 'crashed'; readonly error: SessionError };

/** The main thread's end of one session thread: jobs queue here and are sent one at a time. */
export class WorkerClient {
  readonly inputs: ReadonlyMap<string, ValueType>;
  readonly outputs: ReadonlyMap<string, ValueType>;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #queue: Job[] = [];
  #running: Job | undefined;
  #state: State = { kind: 'open' };

  private constructor(worker: Worker, ready: Extract<WorkerReply, { kind: 'ready' }>) {
    this.#worker = worker;
    this.inputs = ready.inputs;
    this.outputs = ready.outputs;
    this.#exited = new Promise((resolve) => {
      worker.once('exit', (code) => {
        this.#crash(`the session's thread ended with code ${code}`);
        resolve();
      });
    });
    worker.on('error', (error) => {
      this.#crash(`the session's thread failed: ${errorMessage(error)}`, error);
    });
    worker.on('message', (reply: WorkerReply) => {
      this.#settle(reply);
    });
    // An idle session must not keep the process alive.
    worker.unref();
  }

  /** Starts a thread and loads the model in it. */
  static async start(start: WorkerStart): Promise<WorkerClient> {
    const worker = startWorker('session/session-worker', 'onnx-session', start);
    const first = await firstReply(worker);
    if (first.kind === 'ready') return new WorkerClient(worker, first);
    await worker.terminate();
    throw first.kind === 'error' ? toError(first) : crashed('the session’s thread answered out of turn');
  }

  run(request: Extract<WorkerRequest, { kind: 'run' }>, signal: AbortSignal | undefined): Promise<Tensors> {
    if (this.#state.kind === 'crashed') return Promise.reject(this.#state.error);
    if (this.#state.kind === 'closing') return Promise.reject(closed());
    if (signal?.aborted === true) return Promise.reject(new CancelledError('a run'));
    return new Promise((resolve, reject) => {
      const cancel = (): void => {
        const waiting = this.#queue.indexOf(job);
        if (waiting >= 0) this.#queue.splice(waiting, 1);
        reject(new CancelledError('a run'));
      };
      const job: Job = {
        request,
        signal,
        resolve: (tensors) => {
          signal?.removeEventListener('abort', cancel);
          resolve(tensors);
        },
        reject: (error) => {
          signal?.removeEventListener('abort', cancel);
          reject(error);
        },
      };
      signal?.addEventListener('abort', cancel, { once: true });
      this.#queue.push(job);
      this.#next();
    });
  }

  /** Ends the thread; a run in progress is waited for, queued ones are rejected. */
  async close(): Promise<void> {
    if (this.#state.kind === 'crashed') return;
    if (this.#state.kind === 'open') {
      this.#state = { kind: 'closing', ended: this.#exited };
      for (const job of this.#queue.splice(0)) job.reject(closed());
      this.#next();
    }
    await this.#state.ended;
  }

  #next(): void {
    if (this.#running !== undefined) return;
    const job = this.#queue.shift();
    if (job === undefined) {
      if (this.#state.kind === 'open') this.#worker.unref();
      if (this.#state.kind === 'closing') {
        // Referenced until the thread has gone, so that nothing after `await close()` races with its end.
        this.#worker.ref();
        this.#worker.postMessage({ kind: 'close' } satisfies WorkerRequest);
      }
      return;
    }
    this.#running = job;
    this.#worker.ref();
    try {
      this.#worker.postMessage(job.request);
    } catch (error) {
      this.#running = undefined;
      job.reject(new SessionError('RUN_FAILED', `feeds cannot be sent: ${errorMessage(error)}`, { cause: error }));
      this.#next();
    }
  }

  #settle(reply: WorkerReply): void {
    const job = this.#running;
    this.#running = undefined;
    if (reply.kind === 'result') job?.resolve(reply.tensors);
    else if (reply.kind === 'error') job?.reject(toError(reply));
    this.#next();
  }

  #crash(message: string, cause?: unknown): void {
    const error = this.#state.kind === 'closing' ? closed() : crashed(message, cause);
    if (this.#state.kind === 'open') this.#state = { kind: 'crashed', error };
    for (const job of [this.#running, ...this.#queue.splice(0)]) job?.reject(error);
    this.#running = undefined;
  }
}

/** What a thread says first: that the model is loaded, or why not. */
function firstReply(worker: Worker): Promise<WorkerReply> {
  return new Promise((resolve, reject) => {
    const onError = (error: unknown): void => {
      settle();
      reject(crashed(`the session's thread did not start: ${errorMessage(error)}`, error));
    };
    const onExit = (code: number): void => {
      settle();
      reject(crashed(`the session's thread ended with code ${code} while it loaded the model`));
    };
    const onMessage = (reply: WorkerReply): void => {
      settle();
      resolve(reply);
    };
    // One by one: `removeAllListeners` would take listeners of Node's own with it, and no message would come any more.
    const settle = (): void => {
      worker.off('error', onError).off('exit', onExit).off('message', onMessage);
    };
    worker.on('error', onError).on('exit', onExit).on('message', onMessage);
  });
}

function toError({ code, message, hint }: Extract<WorkerReply, { kind: 'error' }>): SessionError {
  return new SessionError(code, message, hint === undefined ? {} : { hint });
}

function closed(): SessionError {
  return new SessionError('SESSION_CLOSED', 'the session is closed');
}

function crashed(message: string, cause?: unknown): SessionError {
  return new SessionError('WORKER_CRASHED', message, {
    hint: 'If memory ran out, use a smaller batch or close other sessions; then make the session again.',
    ...(cause !== undefined && { cause }),
  });
}
