import { encode } from '../model/wire.ts';
import type { PageEvent } from '../model/events.ts';
import { reducePage } from '../model/reduce.ts';
import type { PageView } from '../model/view.ts';

/** Characters of past batches that are kept for pages that come back. */
const MAX_KEPT = 4_000_000;

/** What one follower is sent. */
export interface Delivery {
  readonly kind: 'snapshot' | 'changes';
  readonly place: number;
  readonly data: string;
}

/**
 * The view, the events that are not in it yet, and the batches that made it. Events gather until {@link flush}; of a client's reports in
 * one batch only the newest is kept. Every batch is encoded once, for all followers.
 */
export class Batches {
  readonly #maxKept: number;
  #view: PageView;
  #pending: PageEvent[] = [];
  /** Where in `#pending` each client's report is. */
  readonly #reports = new Map<string, number>();
  #place = 0;
  #kept: string[] = [];
  #keptLength = 0;
  #snapshot: string | undefined;

  constructor(view: PageView, maxKept: number = MAX_KEPT) {
    this.#view = view;
    this.#maxKept = maxKept;
  }

  /** The view without what is pending. */
  get view(): PageView {
    return this.#view;
  }

  /** Batches so far. */
  get place(): number {
    return this.#place;
  }

  get isPending(): boolean {
    return this.#pending.length > 0;
  }

  add(event: PageEvent): void {
    if (event.type !== 'progress') {
      // What a report said before another kind of event has to stay before it.
      this.#reports.clear();
      this.#pending.push(event);
      return;
    }
    const key = `${event.clientId} ${event.phase}`;
    const at = this.#reports.get(key);
    if (at !== undefined) this.#pending[at] = event;
    else this.#reports.set(key, this.#pending.push(event) - 1);
  }

  /** Makes a batch of what is pending. */
  flush(): void {
    if (this.#pending.length === 0) return;
    const events = this.#pending;
    this.#pending = [];
    this.#reports.clear();
    this.#view = reducePage(this.#view, events);
    this.#snapshot = undefined;
    const data = encode(events);
    this.#place++;
    this.#kept.push(data);
    this.#keptLength += data.length;
    while (this.#keptLength > this.#maxKept) this.#keptLength -= this.#kept.shift()!.length;
  }

  /** What somebody at a place needs next; `null` when nothing has happened since. */
  after(place: number | undefined): Delivery | null {
    if (place === this.#place) return null;
    const index = place === undefined ? -1 : place - (this.#place - this.#kept.length);
    const data = index < 0 || place! > this.#place ? undefined : this.#kept[index];
    if (data !== undefined) return { kind: 'changes', place: place! + 1, data };
    this.#snapshot ??= encode(this.#view);
    return { kind: 'snapshot', place: this.#place, data: this.#snapshot };
  }
}
