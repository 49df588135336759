import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { errorMessage } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { DecodeReply, DecodeTask, WorkerOptions } from './decode-messages.ts';
import type { FrameRequest, VideoBackend, VideoDecoder, VideoFrame } from './decoder.ts';
import { endThread, returnThread, takeThread } from './decoder-threads.ts';
import type { FfmpegCommand } from './ffmpeg-command.ts';

/** Knobs of {@link DecoderPool}. */
export interface DecoderPoolOptions {
  /** Decoding threads; default one per core, at most 4. They start when first needed. */
  readonly threads?: number;
  /** Files kept open in each thread; default 16, about 3 MB each, and 1 with `ffmpeg`: each is a process. */
  readonly maxReaders?: number;
  /** Longest wait for one frame; default 60 000. */
  readonly timeoutMs?: number;
}

interface Job {
  readonly request: FrameRequest;
  readonly resolve: (frame: VideoFrame) => void;
  readonly reject: (error: DatasetError) => void;
}

interface Thread {
  readonly worker: Worker;
  job: Job | null;
  timer: NodeJS.Timeout | undefined;
  /** What it decoded last: that file is likely still open, and positioned there. */
  last: FrameRequest | null;
}

/** Jobs looked through for one that a free thread is well placed for. */
const LOOK_AHEAD = 32;

/** Decodes in worker threads, with any back end. Idle threads do not keep the process alive; a pool that is closed leaves them to the next. */
export class DecoderPool implements VideoDecoder {
  readonly backend: VideoBackend;
  readonly #maxThreads: number;
  readonly #timeoutMs: number;
  readonly #options: WorkerOptions;
  readonly #threads: Thread[] = [];
  readonly #queue: Job[] = [];
  #isClosed = false;

  /** @param ffmpeg the command, for that back end */
  constructor(backend: VideoBackend, ffmpeg: FfmpegCommand | null, options: DecoderPoolOptions = {}) {
    this.backend = backend;
    this.#maxThreads = options.threads ?? Math.min(4, availableParallelism());
    this.#timeoutMs = options.timeoutMs ?? 60_000;
    this.#options = { backend, ffmpeg, maxReaders: options.maxReaders ?? (backend === 'ffmpeg' ? 1 : 16) };
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
    await Promise.all(
      [...this.#threads].map(async (thread) => {
        if (thread.job === null) await this.#giveBack(thread);
        else await endThread(thread.worker);
      }),
    );
  }

  /** A closed pool keeps nothing of an idle thread, which another dataset may be using from now on. */
  async #giveBack(thread: Thread): Promise<void> {
    this.#threads.splice(this.#threads.indexOf(thread), 1);
    clearTimeout(thread.timer);
    await returnThread(thread.worker, this.#options);
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

  /** The job and the idle thread that are nearest to each other; the first job where no thread has its file at hand. */
  #match(idle: readonly Thread[]): { thread: Thread; index: number } {
    let best = { thread: idle[0]!, index: 0, distance: Infinity };
    for (const thread of idle) {
      for (let index = 0; index < Math.min(LOOK_AHEAD, this.#queue.length); index++) {
        const distance = distanceFrom(thread.last, this.#queue[index]!.request);
        if (distance < best.distance) best = { thread, index, distance };
      }
    }
    return best;
  }

  #run(thread: Thread, job: Job): void {
    const { into } = job.request;
    thread.job = job;
    thread.last = job.request;
    thread.worker.ref();
    thread.timer = setTimeout(() => {
      // The thread may be inside native code, which nothing interrupts: it is left behind, and another one started.
      void thread.worker.terminate();
      this.#lose(thread, frameError(job.request.file, `decoding did not end within ${this.#timeoutMs / 1000} s`));
      this.#dispatch();
    }, this.#timeoutMs);
    thread.worker.postMessage(job.request satisfies DecodeTask, into === undefined ? [] : [into]);
  }

  #start(): Thread {
    const worker = takeThread(this.#options);
    const thread: Thread = { worker, job: null, timer: undefined, last: null };
    worker.unref();
    worker.on('message', (reply: DecodeReply) => {
      const { job } = thread;
      clearTimeout(thread.timer);
      thread.job = null;
      if (!this.#isClosed) worker.unref();
      if (job !== null) settle(job, reply);
      if (!this.#isClosed) this.#dispatch();
    });
    worker.on('error', (error) => {
      this.#lose(thread, noDecoder(this.backend, error));
    });
    worker.on('exit', (code) => {
      this.#lose(thread, this.#isClosed ? closed() : noDecoder(this.backend, new Error(`its thread ended with code ${code}`)));
    });
    this.#threads.push(thread);
    return thread;
  }

  #lose(thread: Thread, reason: DatasetError): void {
    const index = this.#threads.indexOf(thread);
    if (index === -1) return;
    this.#threads.splice(index, 1);
    clearTimeout(thread.timer);
    thread.job?.reject(reason);
    thread.job = null;
    // A back end that cannot run would fail one thread after the other: what waits fails for the same reason.
    const isHopeless = reason.code !== 'DATASET_FRAME' && this.#threads.length === 0;
    if (isHopeless) for (const job of this.#queue.splice(0)) job.reject(reason);
  }
}

function settle(job: Job, reply: DecodeReply): void {
  if ('frame' in reply) job.resolve(reply.frame);
  else job.reject(frameError(job.request.file, reply.error));
}

/** How far a thread that decoded `last` is from a frame: seconds ahead in the same file, more for going back. */
function distanceFrom(last: FrameRequest | null, { file, timestamp }: FrameRequest): number {
  if (last?.file !== file) return Infinity;
  const ahead = timestamp - last.timestamp;
  return ahead >= 0 ? ahead : 1e6 - ahead;
}

function frameError(file: string, what: string): DatasetError {
  return new DatasetError('DATASET_FRAME', `${file}: ${what}`, { file, hint: 'Check the dataset with `zk0-client dataset validate`.' });
}

function closed(): DatasetError {
  return new DatasetError('DATASET_CLOSED', 'The dataset was closed while a frame was being decoded');
}

function noDecoder(backend: VideoBackend, cause: unknown): DatasetError {
  return new DatasetError('DATASET_NO_DECODER', `The video decoder ${backend} cannot run here: ${errorMessage(cause)}`, {
    hint: 'Install it again, or choose another with ZK0_VIDEO_BACKEND (`zk0-client doctor` lists them).',
    cause,
  });
}
