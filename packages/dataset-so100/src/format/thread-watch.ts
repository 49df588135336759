import type { Worker } from 'node:worker_threads';

/** How much a thread may use for one task, in milliseconds. */
export interface ThreadLimits {
  readonly processorMs: number;
  readonly wallMs: number;
}

const POLL_MS = 250;

/** A thread is being watched; `stop` ends that. */
export interface ThreadWatch {
  stop(): void;
}

/**
 * Calls `onExceeded` once when the thread has used more than its limits since this call.
 *
 * Processor time is what tells a thread that hangs from one that waits its turn on a busy machine. Node tells it of
 * other threads from version 24.6 on, even while they run without a pause; before, wall time alone counts.
 */
export function watchThread(worker: Worker, limits: ThreadLimits, onExceeded: (reason: string) => void): ThreadWatch {
  const start = performance.now();
  let isWatching = true;
  let timer: NodeJS.Timeout | undefined;
  let first: NodeJS.CpuUsage | undefined;
  let isAsking = false;

  const exceed = (reason: string): void => {
    isWatching = false;
    onExceeded(reason);
  };
  const measure = async (): Promise<void> => {
    const usage = await worker.cpuUsage(first);
    if (!isWatching) return;
    if (first === undefined) {
      first = usage;
      return;
    }
    const usedMs = (usage.user + usage.system) / 1000;
    if (usedMs > limits.processorMs) exceed(`it took more than ${seconds(limits.processorMs)} of processor time`);
  };
  const ask = (): void => {
    if (isAsking || typeof worker.cpuUsage !== 'function') return;
    isAsking = true;
    // A thread that has ended has no usage; whoever waits for it is told of its end.
    void measure().catch(() => undefined).finally(() => (isAsking = false));
  };
  const poll = (): void => {
    if (performance.now() - start > limits.wallMs) exceed(`it did not end within ${seconds(limits.wallMs)}`);
    if (!isWatching) return;
    ask();
    timer = setTimeout(poll, POLL_MS);
  };
  poll();
  return {
    stop() {
      isWatching = false;
      clearTimeout(timer);
    },
  };
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
