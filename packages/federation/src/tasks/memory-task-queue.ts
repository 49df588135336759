import type { ClientTask, TaskQueue } from './task-queue.ts';

/** A task queue in this process's memory. */
export class MemoryTaskQueue implements TaskQueue {
  readonly #tasks = new Map<string, { readonly task: ClientTask; out: boolean }>();
  readonly #waiters = new Map<string, Set<() => void>>();
  #maxParallel = Number.POSITIVE_INFINITY;
  #out = 0;

  publish(tasks: readonly ClientTask[], maxParallel: number): Promise<void> {
    this.#maxParallel = maxParallel === 0 ? Number.POSITIVE_INFINITY : maxParallel;
    const before = new Map(this.#tasks);
    this.#tasks.clear();
    for (const task of tasks) {
      const known = before.get(task.clientId);
      this.#tasks.set(task.clientId, { task, out: known?.out === true && known.task.task.taskId === task.task.taskId });
    }
    this.#out = [...this.#tasks.values()].filter(({ out }) => out).length;
    this.#wakeAll();
    return Promise.resolve();
  }

  add(task: ClientTask): Promise<void> {
    if (!this.#tasks.has(task.clientId)) this.#tasks.set(task.clientId, { task, out: false });
    this.#wake(task.clientId);
    return Promise.resolve();
  }

  async take(clientId: string, signal: AbortSignal): Promise<ClientTask | null> {
    for (;;) {
      const entry = this.#tasks.get(clientId);
      if (entry !== undefined && (entry.out || this.#out < this.#maxParallel)) {
        if (!entry.out) this.#out++;
        entry.out = true;
        return entry.task;
      }
      if (signal.aborted) return null;
      await this.#change(clientId, signal);
    }
  }

  current(clientId: string): Promise<ClientTask | null> {
    return Promise.resolve(this.#tasks.get(clientId)?.task ?? null);
  }

  withdraw(clientId: string, taskId?: string): Promise<void> {
    const entry = this.#tasks.get(clientId);
    if (entry !== undefined && (taskId === undefined || entry.task.task.taskId === taskId)) {
      this.#tasks.delete(clientId);
      if (entry.out) this.#freed();
    }
    return Promise.resolve();
  }

  release(clientId: string): Promise<void> {
    const entry = this.#tasks.get(clientId);
    if (entry?.out === true) {
      entry.out = false;
      this.#freed();
    }
    return Promise.resolve();
  }

  clear(): Promise<void> {
    this.#tasks.clear();
    this.#out = 0;
    return Promise.resolve();
  }

  /** A place is free: whoever waits for one looks again. */
  #freed(): void {
    this.#out--;
    if (this.#maxParallel !== Number.POSITIVE_INFINITY) this.#wakeAll();
  }

  #change(clientId: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(clientId) ?? new Set();
      this.#waiters.set(clientId, waiters);
      const wake = (): void => {
        waiters.delete(wake);
        if (waiters.size === 0) this.#waiters.delete(clientId);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      waiters.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  #wake(clientId: string): void {
    for (const wake of [...(this.#waiters.get(clientId) ?? [])]) wake();
  }

  #wakeAll(): void {
    // Only those who have something to take: thousands of idle clients sleep on.
    for (const clientId of [...this.#tasks.keys()]) this.#wake(clientId);
  }
}
