import { ChangeWaiters } from '../change-waiters.ts';
import type { Clock } from '../clock.ts';
import type { PartEntry, PartRow, PartTable } from './part-table.ts';

/** Parts in this process's memory. */
export class MemoryPartTable implements PartTable {
  readonly #clock: Clock;
  readonly #rows = new Map<string, PartRow>();
  readonly #waiters = new ChangeWaiters();
  #revision = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  rows(): ReadonlyMap<string, PartRow> {
    return this.#rows;
  }

  replace(key: string, entry: PartEntry, revision: number | null): Promise<boolean> {
    if ((this.#rows.get(key)?.revision ?? null) !== revision) return Promise.resolve(false);
    this.#rows.set(key, { entry, revision: ++this.#revision, since: this.#clock.now() });
    this.#waiters.wake();
    return Promise.resolve(true);
  }

  remove(key: string): Promise<void> {
    if (this.#rows.delete(key)) this.#waiters.wake();
    return Promise.resolve();
  }

  changed(signal: AbortSignal): Promise<void> {
    return this.#waiters.wait(signal);
  }
}
