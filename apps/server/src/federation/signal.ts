/** Lets one loop wait for "something changed", with a deadline and a way to give up. */
export class ChangeSignal {
  #waiters = new Set<() => void>();

  /** Wakes every waiter. */
  notify(): void {
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const wake of waiters) wake();
  }

  /** Resolves at the next {@link notify}, at `deadline` (ms since the epoch), or when `signal` aborts. */
  wait(signal: AbortSignal, deadline?: number): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const wake = (): void => {
        this.#waiters.delete(wake);
        signal.removeEventListener('abort', wake);
        clearTimeout(timer);
        resolve();
      };
      this.#waiters.add(wake);
      signal.addEventListener('abort', wake, { once: true });
      if (deadline !== undefined) {
        // setTimeout holds at most 2^31 − 1 ms; a longer wait just looks again.
        timer = setTimeout(wake, Math.min(Math.max(0, deadline - Date.now()), 2_147_483_647));
      }
    });
  }
}
