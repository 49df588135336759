/** Lets any number of callers wait for the next change. */
export class ChangeWaiters {
  readonly #waiters = new Set<() => void>();

  /** Resolves at the next {@link wake}, or when `signal` aborts. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiters.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiters.add(wake);
      signal.addEventListener('abort', wake, { once: true });
      if (signal.aborted) wake();
    });
  }

  /** Wakes whoever waits now. */
  wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}
