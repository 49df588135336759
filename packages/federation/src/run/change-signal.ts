import { CancelledError } from '@zk0/core';
import type { Clock } from '../clock.ts';

/** Lets one loop wait for "something changed", with a deadline and a way to give up. */
export class ChangeSignal {
  readonly #clock: Clock;
  #waiters = new Set<() => void>();
  #count = 0;
  #onIdle: (() => void)[] = [];
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Changes so far. Whoever looks at the world first remembers it, so that no change between looking and waiting is missed. */
  get count(): number {
    return this.#count;
  }

  /** Resolves as soon as somebody waits for a change, or nobody ever will again. */
  idle(): Promise<void> {
    if (this.#waiters.size > 0 || this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  /** Nobody waits for changes any more. */
  close(): void {
    this.#isClosed = true;
    this.#tellIdle();
  }

  #tellIdle(): void {
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  /** Wakes every waiter. */
  notify(): void {
    this.#count++;
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const wake of waiters) wake();
  }

  /** Resolves when there are more changes than `since`, at `deadline` (ms since the epoch), or when `signal` aborts. */
  async wait(since: number, signal: AbortSignal, deadline?: number): Promise<void> {
    if (signal.aborted || this.#count > since) return;
    const over = new AbortController();
    const changed = new Promise<void>((resolve) => {
      this.#waiters.add(resolve);
      this.#tellIdle();
      signal.addEventListener('abort', () => { resolve(); }, { once: true, signal: over.signal });
      if (deadline !== undefined) {
        this.#clock.sleep(deadline - this.#clock.now(), over.signal).then(resolve, (error: unknown) => {
          if (!(error instanceof CancelledError)) throw error;
        });
      }
      over.signal.addEventListener('abort', () => { this.#waiters.delete(resolve); }, { once: true });
    });
    await changed;
    over.abort();
  }
}
