import { errorMessage } from '@zk0/core/errors';
import type { Worker } from 'node:worker_threads';
import { SessionError } from '../errors.ts';
import { startWorker } from '../threads/start-worker.ts';
import type { Device } from './devices.ts';
import type { SentRequest, SessionReply, SessionRequest, ThreadReply, ThreadRequest } from './protocol.ts';
import { SharedMemorySender } from './shared-memory.ts';

/** What a session hears from its thread. */
export interface ThreadListener {
  onReply(reply: SessionReply): void;
  /** The thread died by itself. */
  onCrash(error: SessionError): void;
}

/** A worker thread and the sessions that live in it. */
export class SessionThread {
  readonly #worker: Worker;
  readonly #listeners = new Map<number, ThreadListener>();
  readonly #memory = new SharedMemorySender((forget) => {
    if (this.isOpen) this.#worker.postMessage({ forget } satisfies ThreadRequest);
  });
  /** When the thread has gone. */
  readonly exited: Promise<void>;
  #nextSession = 0;
  /** Requests under way; while there are any, the thread keeps the process alive. */
  #busy = 0;
  #failure: SessionError | undefined;
  #ending = false;

  constructor() {
    const worker = startWorker('session/session-worker', 'onnx-session', undefined);
    this.#worker = worker;
    this.exited = new Promise((resolve) => {
      worker.once('exit', (code) => {
        this.#crash(`the session's thread ended with code ${code}`);
        resolve();
      });
    });
    worker.on('error', (error) => {
      this.#crash(`the session's thread failed: ${errorMessage(error)}`, error);
    });
    worker.on('message', ({ session, reply }: ThreadReply) => {
      this.#rest();
      this.#listeners.get(session)?.onReply(reply);
    });
    // An idle session must not keep the process alive.
    worker.unref();
  }

  /** Whether a session can still be added. */
  get isOpen(): boolean {
    return this.#failure === undefined && !this.#ending;
  }

  /** Adds a session; `send` its requests one at a time. */
  join(listener: ThreadListener): number {
    const session = this.#nextSession++;
    this.#listeners.set(session, listener);
    return session;
  }

  send(session: number, request: SessionRequest): void {
    try {
      this.#worker.postMessage({ session, request: this.#packed(request) } satisfies ThreadRequest);
    } catch (error) {
      this.#memory.reset();
      throw error;
    }
    this.#busy++;
    this.#worker.ref();
  }

  /** Removes a session; the thread ends with its last. */
  async leave(session: number): Promise<void> {
    this.#listeners.delete(session);
    if (this.#listeners.size > 0) return;
    this.#ending = true;
    // Referenced until the thread has gone, so that nothing after `await close()` races with its end.
    this.#worker.ref();
    this.#worker.postMessage('end' satisfies ThreadRequest);
    await this.exited;
  }

  #packed(request: SessionRequest): SentRequest {
    switch (request.kind) {
      case 'run':
        return { ...request, feeds: this.#memory.pack(request.feeds), into: this.#memory.pack(request.into) };
      case 'setState':
        return { ...request, tensors: this.#memory.pack(request.tensors) };
      default:
        return request;
    }
  }

  #rest(): void {
    this.#busy--;
    if (this.#busy === 0 && !this.#ending) this.#worker.unref();
  }

  #crash(message: string, cause?: unknown): void {
    if (this.#ending || this.#failure !== undefined) return;
    this.#failure = new SessionError('WORKER_CRASHED', message, {
      hint: 'If memory ran out, use a smaller batch or close other sessions; then make the session again.',
      ...(cause !== undefined && { cause }),
    });
    for (const listener of this.#listeners.values()) listener.onCrash(this.#failure);
  }
}

let shared: SessionThread | undefined;

/**
 * The thread for a new session: one of its own, but on WebGPU one for all. Sessions there share the process's device,
 * whose commands must come from one thread at a time: two threads fail with "Command encoding already finished".
 */
export async function threadFor(device: Device): Promise<SessionThread> {
  if (device !== 'webgpu') return new SessionThread();
  while (shared?.isOpen === false) {
    const last = shared;
    await last.exited;
    if (shared === last) shared = undefined;
  }
  return (shared ??= new SessionThread());
}
