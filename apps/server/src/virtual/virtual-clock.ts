import { CancelledError } from '@zk0/core';
import type { Clock } from '@zk0/federation';

interface Scheduled {
  readonly at: number;
  /** Of two at the same time, the one that was scheduled first. */
  readonly order: number;
  readonly what: () => void | Promise<void>;
  isCancelled: boolean;
}

/** Time that passes only when it is moved on, from one thing that was scheduled to the next. */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  /** A binary heap: the earliest is first. */
  readonly #heap: Scheduled[] = [];

  /** @param now milliseconds since the epoch. */
  constructor(now: number) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = (): void => { reject(new CancelledError('waiting')); };
      if (signal?.aborted === true) {
        cancel();
        return;
      }
      const onAbort = (): void => {
        undo();
        cancel();
      };
      const undo = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Schedules something; returns what calls it off. */
  after(ms: number, what: () => void | Promise<void>): () => void {
    const item: Scheduled = { at: this.#now + Math.max(0, ms), order: this.#order++, what, isCancelled: false };
    this.#push(item);
    return () => { item.isCancelled = true; };
  }

  /** Moves on to what was scheduled next, and does it. `false` when there is nothing. */
  async step(): Promise<boolean> {
    for (;;) {
      const next = this.#pop();
      if (next === undefined) return false;
      if (next.isCancelled) continue;
      this.#now = next.at;
      await next.what();
      return true;
    }
  }

  #push(item: Scheduled): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(item, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = item;
  }

  #pop(): Scheduled | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
