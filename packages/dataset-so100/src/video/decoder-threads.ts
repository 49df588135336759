import { Worker } from 'node:worker_threads';
import type { WorkerOptions } from './decode-messages.ts';

/** How long an idle thread is kept for the next dataset. */
const IDLE_MS = 2000;

/** Idle threads that are kept, of all back ends together: as many as one dataset uses. */
const MAX_IDLE = 4;

interface IdleThread {
  readonly worker: Worker;
  readonly key: string;
  readonly timer: NodeJS.Timeout;
}

const idle: IdleThread[] = [];

/**
 * A decoding thread: one that another dataset has given back, else a new one. To start one and load FFmpeg takes some 0.3 s of
 * processor time, as long as decoding a hundred small frames.
 */
export function takeThread(options: WorkerOptions): Worker {
  const key = JSON.stringify(options);
  const index = idle.findIndex((thread) => thread.key === key);
  if (index === -1) return startThread(options);
  const [thread] = idle.splice(index, 1);
  clearTimeout(thread!.timer);
  stopListening(thread!.worker);
  return thread!.worker;
}

/**
 * Gives back a thread that has no task. It closes its files before this returns, and is kept for a while. It does not keep the
 * process alive.
 */
export async function returnThread(worker: Worker, options: WorkerOptions): Promise<void> {
  stopListening(worker);
  const isReleased = await new Promise<boolean>((resolve) => {
    worker.once('message', () => {
      resolve(true);
    });
    // A thread that fails now has no files any more, and no task that could fail with it.
    worker.once('error', () => {
      resolve(false);
    });
    worker.once('exit', () => {
      resolve(false);
    });
    worker.ref();
    worker.postMessage('release');
  });
  stopListening(worker);
  if (!isReleased) return;
  if (idle.length >= MAX_IDLE) {
    await endThread(worker);
    return;
  }
  const timer = setTimeout(() => void endThread(forget(worker)), IDLE_MS).unref();
  worker.once('exit', () => forget(worker)).on('error', () => undefined);
  worker.unref();
  idle.push({ worker, key: JSON.stringify(options), timer });
}

/** Ends a thread in order; what it is asked for now it does not answer. */
export async function endThread(worker: Worker): Promise<void> {
  const exit = new Promise((resolve) => worker.once('exit', resolve));
  worker.ref();
  worker.postMessage('close');
  await exit;
}

/** Of these events alone: Node listens to others of its own on a worker. */
function stopListening(worker: Worker): void {
  for (const event of ['message', 'error', 'exit']) worker.removeAllListeners(event);
}

function forget(worker: Worker): Worker {
  const index = idle.findIndex((thread) => thread.worker === worker);
  if (index !== -1) clearTimeout(idle.splice(index, 1)[0]!.timer);
  return worker;
}

function startThread(options: WorkerOptions): Worker {
  // From source this module is video/decoder-threads.ts; built, it is part of dist/*.js with the worker beside it.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new Worker(new URL(`./decode-worker.${extension}`, import.meta.url), { workerData: options });
}
