/** The right to do something alone, for a time. */
export interface Lease {
  readonly name: string;
  readonly holder: string;
  /** Milliseconds since the epoch, by the store's clock. */
  readonly expiresAt: number;
}

/**
 * Who may do what alone: drive a run, for example. A lease ends by itself when its holder dies. It bounds wasted work and nothing more:
 * what makes two holders harmless is the ledger's compare-and-set. A key-value store with time-to-live and compare-and-set can
 * implement it.
 */
export interface LeaseStore {
  /**
   * Takes a free or expired lease, or renews one that `holder` has.
   *
   * @returns `null` when somebody else has it.
   */
  acquire(name: string, holder: string, ttlMs: number): Promise<Lease | null>;
  /** Gives a lease back; does nothing when `holder` does not have it. */
  release(name: string, holder: string): Promise<void>;
}
