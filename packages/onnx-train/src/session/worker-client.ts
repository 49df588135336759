import { CancelledError, errorMessage } from '@zk0/core/errors';
import { SessionError } from '../errors.ts';
import type { ValueType } from '../graph/value.ts';
import type { OrtSessionOptions } from './ort-session.ts';
import type { SessionReply, SessionRequest } from './protocol.ts';
import { threadFor, type SessionThread } from './session-thread.ts';
import type { Tensors } from './tensor.ts';

interface Job {
  readonly request: SessionRequest;
  readonly resolve: (reply: SessionReply) => void;
  readonly reject: (error: Error) => void;
}

type State =
  /** Jobs are taken. */
  | { readonly kind: 'open' }
  /** No more jobs are taken; the session ends once the running one has. */
  | { readonly kind: 'closing'; readonly ended: Promise<void> }
  /** The thread died by itself. */
  | { readonly kind: 'crashed'; readonly error: SessionError };

/** The main thread's end of one session: jobs queue here and are sent one at a time. */
export class WorkerClient {
  readonly #thread: SessionThread;
  readonly #id: number;
  readonly #queue: Job[] = [];
  #types: Extract<SessionReply, { kind: 'opened' }> | undefined;
  #running: Job | undefined;
  #state: State = { kind: 'open' };

  private constructor(thread: SessionThread) {
    this.#thread = thread;
    this.#id = thread.join({
      onReply: (reply) => {
        this.#settle(reply);
      },
      onCrash: (error) => {
        this.#crash(error);
      },
    });
  }

  /** Loads a model, in the thread that is its device's. */
  static async start(model: string | Uint8Array, options: OrtSessionOptions): Promise<WorkerClient> {
    const client = new WorkerClient(await threadFor(options.device));
    try {
      const reply = await client.#ask({ kind: 'open', model, options }, undefined);
      client.#types = reply as Extract<SessionReply, { kind: 'opened' }>;
      return client;
    } catch (error) {
      await client.#thread.leave(client.#id);
      throw error;
    }
  }

  get inputs(): ReadonlyMap<string, ValueType> {
    return this.#types!.inputs;
  }

  get outputs(): ReadonlyMap<string, ValueType> {
    return this.#types!.outputs;
  }

  /** Sends a request when those before it are done. Aborting rejects at once; a request that has begun goes on. */
  async run(request: Exclude<SessionRequest, { kind: 'open' | 'close' }>, signal: AbortSignal | undefined): Promise<Tensors> {
    const reply = await this.#ask(request, signal);
    return (reply as Extract<SessionReply, { kind: 'done' }>).tensors;
  }

  /** Ends the session; a request in progress is waited for, queued ones are rejected. */
  async close(): Promise<void> {
    if (this.#state.kind === 'crashed') return;
    if (this.#state.kind === 'open') {
      for (const job of this.#queue.splice(0)) job.reject(closed());
      const released = new Promise<SessionReply>((resolve, reject) => {
        this.#queue.push({ request: { kind: 'close' }, resolve, reject });
      });
      this.#state = { kind: 'closing', ended: released.catch(() => undefined).then(() => this.#thread.leave(this.#id)) };
      this.#next();
    }
    await this.#state.ended;
  }

  #ask(request: SessionRequest, signal: AbortSignal | undefined): Promise<SessionReply> {
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
        resolve: (reply) => {
          signal?.removeEventListener('abort', cancel);
          resolve(reply);
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

  #next(): void {
    if (this.#running !== undefined) return;
    const job = this.#queue.shift();
    if (job === undefined) return;
    this.#running = job;
    try {
      this.#thread.send(this.#id, job.request);
    } catch (error) {
      this.#running = undefined;
      job.reject(new SessionError('RUN_FAILED', `feeds cannot be sent: ${errorMessage(error)}`, { cause: error }));
      this.#next();
    }
  }

  #settle(reply: SessionReply): void {
    const job = this.#running;
    this.#running = undefined;
    if (reply.kind === 'error') job?.reject(toError(reply));
    else job?.resolve(reply);
    this.#next();
  }

  #crash(error: SessionError): void {
    if (this.#state.kind === 'open') this.#state = { kind: 'crashed', error };
    for (const job of [this.#running, ...this.#queue.splice(0)]) job?.reject(error);
    this.#running = undefined;
  }
}

function toError({ code, message, hint }: Extract<SessionReply, { kind: 'error' }>): SessionError {
  return new SessionError(code, message, hint === undefined ? {} : { hint });
}

function closed(): SessionError {
  return new SessionError('SESSION_CLOSED', 'the session is closed');
}
