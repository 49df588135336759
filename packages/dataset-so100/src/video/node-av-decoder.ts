import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { errorMessage } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { DecodeReply, DecodeTask, WorkerOptions } from './decode-messages.ts';
import type { FrameRequest, VideoDecoder, VideoFrame } from './decoder.ts';

/** Knobs of {@link NodeAvDecoder}. */
export interface NodeAvDecoderOptions {
  /** Decoding threads; default one per core, at most 4. They start when first needed. */
  readonly threads?: number;
  /** Files kept open in each thread; default 16, about 3 MB each. */
  readonly maxReaders?: number;
}

interface Job {
  readonly request: FrameRequest;
  readonly resolve: (frame: VideoFrame) => void;
  readonly reject: (error: DatasetError) => void;
}

interface Thread {
  readonly worker: Worker;
  job: Job | null;
  /** The file it decoded last, likely still open and positioned. */
  lastFile: string | null;
}

/** Jobs looked through for one whose file a free thread has at hand. */
const LOOK_AHEAD = 32;

/** Whether node-av, an optional dependency, is installed. Its binary may still fail to load. */
export function isNodeAvInstalled(): boolean {
  try {
    createRequire(import.meta.url).resolve('node-av/lib');
    return true;
  } catch {
    return false;
  }
}

/** Decodes in worker threads with FFmpeg inside this process (node-av). Idle threads do not keep the process alive. */
export class NodeAvDecoder implements VideoDecoder {
  readonly backend = 'node-av';
  readonly #maxThreads: number;
  readonly #options: WorkerOptions;
  readonly #threads: Thread[] = [];
  readonly #queue: Job[] = [];
  #isClosed = false;

  constructor(options: NodeAvDecoderOptions = {}) {
    this.#maxThreads = options.threads ?? Math.min(4, availableParallelism());
    this.#options = { maxReaders: options.maxReaders ?? 16 };
  }

  frame(request: FrameRequest): Promise<VideoFrame> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(closed());
        return;
      }
      this.#queue.push({ request, resolve, reject });
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const job of this.#queue.splice(0)) job.reject(closed());
    const exits = this.#threads.map(({ worker }) => {
      const exit = new Promise((resolve) => worker.once('exit', resolve));
      worker.ref();
      worker.postMessage('close');
      return exit;
    });
    await Promise.all(exits);
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const idle = this.#threads.filter((thread) => thread.job === null);
      if (idle.length === 0 && this.#threads.length < this.#maxThreads) idle.push(this.#start());
      if (idle.length === 0) return;
      const { thread, index } = this.#match(idle);
      const [job] = this.#queue.splice(index, 1);
      this.#run(thread, job!);
    }
  }

  /** The next job, preferring one whose file an idle thread has at hand. */
  #match(idle: readonly Thread[]): { thread: Thread; index: number } {
    for (let index = 0; index < Math.min(LOOK_AHEAD, this.#queue.length); index++) {
      const thread = idle.find(({ lastFile }) => lastFile === this.#queue[index]!.request.file);
      if (thread !== undefined) return { thread, index };
    }
    return { thread: idle[0]!, index: 0 };
  }

  #run(thread: Thread, job: Job): void {
    const { file, timestamp, tolerance } = job.request;
    thread.job = job;
    thread.lastFile = file;
    thread.worker.ref();
    thread.worker.postMessage({ file, timestamp, tolerance } satisfies DecodeTask);
  }

  #start(): Thread {
    // From source this module is video/node-av-decoder.ts; built, it is part of dist/*.js with the worker beside it.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./decode-worker.${extension}`, import.meta.url), { workerData: this.#options });
    const thread: Thread = { worker, job: null, lastFile: null };
    worker.unref();
    worker.on('message', (reply: DecodeReply) => {
      const { job } = thread;
      thread.job = null;
      if (!this.#isClosed) worker.unref();
      if (job !== null) settle(job, reply);
      if (!this.#isClosed) this.#dispatch();
    });
    worker.on('error', (error) => {
      this.#lose(thread, noDecoder(error));
    });
    worker.on('exit', (code) => {
      this.#lose(thread, this.#isClosed ? closed() : noDecoder(new Error(`its thread ended with code ${code}`)));
    });
    this.#threads.push(thread);
    return thread;
  }

  #lose(thread: Thread, reason: DatasetError): void {
    const index = this.#threads.indexOf(thread);
    if (index === -1) return;
    this.#threads.splice(index, 1);
    thread.job?.reject(reason);
    thread.job = null;
    // With no thread left the queue would wait for ever: the others fail for the same reason.
    if (this.#threads.length === 0) for (const job of this.#queue.splice(0)) job.reject(reason);
  }
}

function settle(job: Job, reply: DecodeReply): void {
  if ('frame' in reply) {
    job.resolve(reply.frame);
    return;
  }
  const { file } = job.request;
  job.reject(
    new DatasetError('DATASET_FRAME', `${file}: ${reply.error}`, {
      file,
      hint: 'Check the dataset with `zk0-client dataset validate`.',
    }),
  );
}

function closed(): DatasetError {
  return new DatasetError('DATASET_CLOSED', 'The dataset was closed while a frame was being decoded');
}

function noDecoder(cause: unknown): DatasetError {
  return new DatasetError('DATASET_NO_DECODER', `The video decoder node-av cannot run here: ${errorMessage(cause)}`, {
    hint: 'Install it again (npm install node-av), or put ffmpeg on the PATH and choose that decoder.',
    cause,
  });
}
