import type { BlobReference } from '@zk0/core';
import { pause, type Clock } from '../clock.ts';
import { partKey, type PartEntry, type PartRow, type PartTable } from './part-table.ts';

/** A part that is not renewed for so long is free for others, in ms. */
const PART_LEASE_MS = 6000;

/** A part of one pass of an aggregation: blocks `from` to `to` (exclusive) of what the blob `plan` describes. */
export type AggregationPart = Pick<PartEntry, 'plan' | 'from' | 'to'>;

/** A part that a process has taken; it belongs to that process as long as it is renewed. */
export interface TakenPart {
  readonly part: AggregationPart;
  /** @returns whether it is still this process's; renewed then. */
  renew(): Promise<boolean>;
  /** It is computed: its bytes are that blob. Does nothing where it is another's by now. */
  done(result: BlobReference): Promise<void>;
  /** This process cannot compute it, and is not given it again. Does nothing where it is another's by now. */
  fail(): Promise<void>;
}

/**
 * Parts of the aggregation that is under way, which processes share out among themselves. There is one aggregation at a time: whoever
 * offers parts replaces those that were offered before. A part is computed at least once, and its bytes are the same whoever computes it:
 * what makes two takers harmless is that, not the clock that frees a part whose taker is silent.
 */
export class PartQueue {
  readonly #table: PartTable;
  readonly #clock: Clock;

  constructor(table: PartTable, clock: Clock) {
    this.#table = table;
    this.#clock = clock;
  }

  /** How often a part that was taken is to be renewed, in ms. */
  get intervalMs(): number {
    return PART_LEASE_MS / 3;
  }

  /** Replaces all parts by these; one that was there already stays as it is, taken or done. @throws StorageError `STORE_UNREACHABLE` */
  async offer(parts: readonly AggregationPart[]): Promise<void> {
    const keys = new Map(parts.map((part) => [partKey(part), part]));
    for (const key of [...this.#table.rows().keys()]) if (!keys.has(key)) await this.#table.remove(key);
    for (const [key, { plan, from, to }] of keys) {
      if (!this.#table.rows().has(key)) await this.#table.replace(key, { plan, from, to, refused: [], state: { kind: 'open' } }, null);
    }
  }

  /**
   * Resolves with a part that nobody has, as soon as there is one; with `null` when the signal aborts first.
   *
   * @param plan of it alone; of any when absent.
   * @throws StorageError `STORE_UNREACHABLE`
   */
  take(holder: string, signal: AbortSignal, plan?: BlobReference): Promise<TakenPart | null> {
    return this.#until(signal, async () => {
      for (const [key, row] of this.#table.rows()) {
        const { entry, revision } = row;
        if (!this.#isFree(row, holder) || (plan !== undefined && plan.hash !== entry.plan.hash)) continue;
        if (await this.#table.replace(key, { ...entry, state: { kind: 'taken', holder } }, revision)) return this.#taken(key, entry, holder);
      }
      return null;
    });
  }

  /**
   * Resolves with a part's bytes once it is done; with `'gone'` when it is not among the parts any more, and `null` when the signal aborts first.
   */
  result(part: AggregationPart, signal: AbortSignal): Promise<BlobReference | 'gone' | null> {
    return this.#until(signal, () => {
      const row = this.#table.rows().get(partKey(part));
      const found = row === undefined ? ('gone' as const) : row.entry.state.kind === 'done' ? row.entry.state.result : null;
      return Promise.resolve(found);
    });
  }

  /** Resolves with `true` once somebody has taken a part of a plan or computed one, with `null` when the signal aborts first. */
  begun({ hash }: BlobReference, signal: AbortSignal): Promise<true | null> {
    const isBegun = ({ entry: { plan, state } }: PartRow): boolean => plan.hash === hash && state.kind !== 'open';
    return this.#until(signal, () => Promise.resolve([...this.#table.rows().values()].some(isBegun) ? true : null));
  }

  /** Withdraws the parts of a plan. @throws StorageError `STORE_UNREACHABLE` */
  async withdraw({ hash }: BlobReference): Promise<void> {
    for (const [key, { entry }] of [...this.#table.rows()]) if (entry.plan.hash === hash) await this.#table.remove(key);
  }

  #isFree({ entry: { refused, state }, since }: PartRow, holder: string): boolean {
    if (refused.includes(holder)) return false;
    return state.kind === 'open' || (state.kind === 'taken' && this.#clock.now() - since >= PART_LEASE_MS);
  }

  #taken(key: string, { plan, from, to }: PartEntry, holder: string): TakenPart {
    const change = async (next: (entry: PartEntry) => PartEntry): Promise<boolean> => {
      const row = this.#table.rows().get(key);
      if (row?.entry.state.kind !== 'taken' || row.entry.state.holder !== holder) return false;
      return this.#table.replace(key, next(row.entry), row.revision);
    };
    return {
      part: { plan, from, to },
      renew: () => change((entry) => entry),
      done: async (result) => {
        await change((entry) => ({ ...entry, state: { kind: 'done', result } }));
      },
      fail: async () => {
        await change((entry) => ({ ...entry, refused: [...entry.refused, holder], state: { kind: 'open' } }));
      },
    };
  }

  /** Looks again at every change, and when a part that is taken might have become free. */
  async #until<T>(signal: AbortSignal, look: () => Promise<T | null>): Promise<T | null> {
    for (;;) {
      const over = new AbortController();
      const either = AbortSignal.any([signal, over.signal]);
      const changed = this.#table.changed(either);
      try {
        const found = await look();
        if (found !== null || signal.aborted) return found;
        await Promise.race([changed, pause(this.#clock, this.intervalMs, either)]);
      } finally {
        over.abort();
      }
    }
  }
}
