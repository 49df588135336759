import type { LedgerEntry } from '@zk0/federation';

/** When the steps of a round were over. Durations are differences of these: all are by the server's clock. */
export interface RoundTime {
  /** When its clients were told; of round 0, when the run started. */
  readonly startedAt: Date;
  /** The last update that counts was there, or the deadline had passed. */
  readonly closedAt?: Date;
  readonly aggregatedAt?: Date;
  readonly evaluatedAt?: Date;
  /** Evaluated, or skipped. */
  readonly endedAt: Date;
  /** When each client's update was accepted. */
  readonly receivedAt: ReadonlyMap<string, Date>;
}

interface OpenRound {
  startedAt: Date;
  closedAt?: Date;
  aggregatedAt?: Date;
  evaluatedAt?: Date;
  readonly receivedAt: Map<string, Date>;
}

/** Keeps when things happened in rounds, from a run's history as it goes on. */
export class RoundTimes {
  readonly #open = new Map<number, OpenRound>();
  /** Rounds that are over, until {@link forget}. */
  readonly over = new Map<number, RoundTime>();

  /** Takes the next entry of the history. */
  take({ at, event }: Pick<LedgerEntry, 'at' | 'event'>): void {
    switch (event.type) {
      case 'run-started':
        this.#open.set(0, { startedAt: at, receivedAt: new Map() });
        return;
      case 'round-configured':
        this.#open.set(event.round, { startedAt: at, receivedAt: new Map() });
        return;
      case 'update-accepted':
        this.#open.get(event.round)?.receivedAt.set(event.clientId, at);
        return;
      case 'round-closed':
        this.#set(event.round, { closedAt: at });
        return;
      case 'round-aggregated':
        this.#set(event.round, { aggregatedAt: at });
        return;
      case 'round-evaluated':
        this.#set(event.round, { evaluatedAt: at });
        this.#end(event.round, at);
        return;
      case 'round-skipped':
        this.#end(event.round, at);
        return;
      default:
    }
  }

  /** Rounds up to this one are not asked for any more. */
  forget(round: number): void {
    for (const known of [...this.over.keys()]) if (known <= round) this.over.delete(known);
  }

  #set(round: number, change: Partial<OpenRound>): void {
    const open = this.#open.get(round);
    if (open !== undefined) Object.assign(open, change);
  }

  #end(round: number, endedAt: Date): void {
    const open = this.#open.get(round);
    if (open === undefined) return;
    this.#open.delete(round);
    this.over.set(round, { ...open, endedAt });
  }
}

/** The times of a round as its `round` line says them: ISO 8601 in UTC, and seconds. */
export function roundTimeFields({ startedAt, closedAt, aggregatedAt, evaluatedAt, endedAt }: RoundTime): Readonly<Record<string, string | number>> {
  const seconds = (name: string, from: Date | undefined, to: Date | undefined): Record<string, number> =>
    from === undefined || to === undefined ? {} : { [name]: (to.getTime() - from.getTime()) / 1000 };
  return {
    started_at: startedAt.toISOString(),
    ended_at: endedAt.toISOString(),
    ...seconds('round_s', startedAt, endedAt),
    ...seconds('collect_s', startedAt, closedAt),
    ...seconds('aggregate_s', closedAt, aggregatedAt),
    ...seconds('evaluate_s', aggregatedAt ?? startedAt, evaluatedAt),
  };
}
