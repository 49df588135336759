import { randomBytes } from 'node:crypto';
import type { LedgerStore, StoredEntry, StoredRun } from './ledger-store.ts';

/** A ledger store in memory: for tests, and for federations that need not outlive their process. */
export class MemoryLedgerStore implements LedgerStore {
  readonly #runs = new Map<string, { entries: StoredEntry[]; summary: string; error: string | null }>();
  readonly #secrets = new Map<string, Uint8Array>();
  readonly #watchers = new Set<(runId: string | null, position: number) => void>();

  append(runId: string, entry: StoredEntry, summary: string): Promise<boolean> {
    const run = this.#runs.get(runId) ?? { entries: [], summary, error: null };
    if (run.entries.length !== entry.position - 1) return Promise.resolve(false);
    run.entries.push(entry);
    run.summary = summary;
    this.#runs.set(runId, run);
    for (const onEntry of this.#watchers) onEntry(runId, entry.position);
    return Promise.resolve(true);
  }

  entries(runId: string, from = 1): Promise<readonly StoredEntry[]> {
    return Promise.resolve(this.#runs.get(runId)?.entries.slice(from - 1) ?? []);
  }

  runs(): Promise<readonly StoredRun[]> {
    return Promise.resolve([...this.#runs.keys()].map((runId) => this.#stored(runId)!));
  }

  run(runId: string): Promise<StoredRun | null> {
    return Promise.resolve(this.#stored(runId));
  }

  summarize(runId: string, summary: string): Promise<void> {
    this.#runs.get(runId)!.summary = summary;
    return Promise.resolve();
  }

  quarantine(runId: string, error: string): Promise<void> {
    this.#runs.get(runId)!.error = error;
    return Promise.resolve();
  }

  secret(runId: string): Promise<Uint8Array> {
    const secret = this.#secrets.get(runId) ?? randomBytes(32);
    this.#secrets.set(runId, secret);
    return Promise.resolve(secret);
  }

  watch(onEntry: (runId: string | null, position: number) => void): () => Promise<void> {
    this.#watchers.add(onEntry);
    return () => {
      this.#watchers.delete(onEntry);
      return Promise.resolve();
    };
  }

  #stored(runId: string): StoredRun | null {
    const run = this.#runs.get(runId);
    if (run === undefined) return null;
    return { runId, createdAt: run.entries[0]!.at, length: run.entries.length, summary: run.summary, error: run.error };
  }
}
