/** A slow follower is cut off when it is this many events behind. */
const MAX_BACKLOG = 10_000;

/** Hands events to whoever follows a run, each at its own pace. */
export class EventStream<E> {
  readonly #followers = new Set<(event: E | null) => void>();

  publish(event: E): void {
    for (const deliver of this.#followers) deliver(event);
  }

  /** Ends every subscription. */
  close(): void {
    for (const deliver of this.#followers) deliver(null);
  }

  /** Events from now on that pass the filter, until `signal` aborts. */
  async *subscribe(wanted: (event: E) => boolean, signal: AbortSignal): AsyncGenerator<E> {
    const backlog: E[] = [];
    let ended = signal.aborted;
    let wake: () => void = () => undefined;
    const deliver = (event: E | null): void => {
      if (event === null || backlog.length >= MAX_BACKLOG) ended = true;
      else if (wanted(event)) backlog.push(event);
      wake();
    };
    const stop = (): void => {
      deliver(null);
    };
    this.#followers.add(deliver);
    signal.addEventListener('abort', stop, { once: true });
    try {
      for (;;) {
        const event = backlog.shift();
        if (event !== undefined) yield event;
        else if (ended) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.#followers.delete(deliver);
      signal.removeEventListener('abort', stop);
    }
  }
}
