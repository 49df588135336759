/**
 * Tasks that wait for their clients. A client takes its own by polling; at most `maxParallel` are out at once.
 * Delivery is at least once: a client that polls again while its task is out is given the same task again.
 */
export class TaskBoard<T extends { readonly clientId: string }> {
  readonly #tasks = new Map<string, { readonly task: T; out: boolean }>();
  readonly #waiters = new Map<string, Set<() => void>>();
  #maxParallel = Number.POSITIVE_INFINITY;

  /** Puts up the tasks of a round; what was up before is withdrawn. `maxParallel` 0 means no limit. */
  publish(tasks: readonly T[], maxParallel: number): void {
    this.#maxParallel = maxParallel === 0 ? Number.POSITIVE_INFINITY : maxParallel;
    this.#tasks.clear();
    for (const task of tasks) this.#tasks.set(task.clientId, { task, out: false });
    this.#wakeAll();
  }

  /** Resolves with the client's task, or with `null` when the signal aborts first. */
  async take(clientId: string, signal: AbortSignal): Promise<T | null> {
    for (;;) {
      const entry = this.#tasks.get(clientId);
      if (entry !== undefined && (entry.out || this.#out() < this.#maxParallel)) {
        entry.out = true;
        return entry.task;
      }
      if (signal.aborted) return null;
      await this.#change(clientId, signal);
    }
  }

  /** The task that is put up for a client, taken or not. */
  current(clientId: string): T | undefined {
    return this.#tasks.get(clientId)?.task;
  }

  /** The client's task is settled, or no longer wanted. */
  withdraw(clientId: string): void {
    if (this.#tasks.delete(clientId)) this.#wakeAll();
  }

  /** The client fell silent: its place goes to another, and its task waits for it again. */
  release(clientId: string): void {
    const entry = this.#tasks.get(clientId);
    if (entry?.out !== true) return;
    entry.out = false;
    this.#wakeAll();
  }

  clear(): void {
    this.#tasks.clear();
  }

  #out(): number {
    let count = 0;
    for (const { out } of this.#tasks.values()) if (out) count++;
    return count;
  }

  #change(clientId: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(clientId) ?? new Set();
      this.#waiters.set(clientId, waiters);
      const wake = (): void => {
        waiters.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      waiters.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  #wakeAll(): void {
    for (const waiters of this.#waiters.values()) for (const wake of [...waiters]) wake();
  }
}
