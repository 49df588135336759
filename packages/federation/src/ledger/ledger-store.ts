/** One entry of a run's history, encoded. */
export interface StoredEntry {
  /** Place in the run's history, from 1, without gaps. */
  readonly position: number;
  /** When it was written: milliseconds since the epoch, by the clock of whoever wrote it. */
  readonly at: number;
  /** The event as JSON text. */
  readonly event: string;
}

/** What the store keeps of a run beside its entries, replaced with each of them. */
export interface StoredRun {
  readonly runId: string;
  /** When its first entry was written: milliseconds since the epoch. */
  readonly createdAt: number;
  /** How many entries it has. */
  readonly length: number;
  /** A short description as JSON text, so that listing runs reads one row each. */
  readonly summary: string;
  /** Why its entries cannot be used; `null` for a sound run. */
  readonly error: string | null;
}

/**
 * Where the histories of runs are kept. The one implementation here is SQLite (`openSqliteStores`); `@zk0/federation-nats` has one
 * on a replicated log with compare-and-set (NATS JetStream). The contract test suite of
 * `@zk0/federation/testing` says what holds for every one.
 */
export interface LedgerStore {
  /**
   * Appends an entry and replaces the run's summary, both or neither, durably. The append happens only if the run has exactly
   * `entry.position - 1` entries: of several writers one wins.
   *
   * @returns `false` when another writer was faster; nothing is written then.
   * @throws FederationError `LEDGER_UNUSABLE`, or StorageError `DISK_FULL`, which passes.
   */
  append(runId: string, entry: StoredEntry, summary: string): Promise<boolean>;
  /** A run's entries from a position on (default 1), in order. @throws FederationError `RUN_UNREADABLE` for one that is damaged. */
  entries(runId: string, from?: number): Promise<readonly StoredEntry[]>;
  /** Every run in the order of their first entries; one read, however long their histories are. */
  runs(): Promise<readonly StoredRun[]>;
  run(runId: string): Promise<StoredRun | null>;
  /** Replaces a run's summary alone: one of an earlier release has none. */
  summarize(runId: string, summary: string): Promise<void>;
  /** Sets a run aside: its entries stay as they are, and `error` says why they cannot be used. */
  quarantine(runId: string, error: string): Promise<void>;
  /**
   * 32 bytes from the system's generator that belong to a run and stand nowhere else: drawn at the first call, the same ever after,
   * for every process that shares the store. Noise that protects privacy comes from them; they are in no event, message or log.
   */
  secret(runId: string): Promise<Uint8Array>;
  /**
   * Calls back after every entry that any process has appended, with the run and the entry's position; with `null` when some may have been
   * missed. A hint and no more: what was written is read by {@link entries}. Absent where one process alone uses the store.
   *
   * @returns what ends it.
   */
  watch?(onEntry: (runId: string | null, position: number) => void): () => Promise<void>;
}
