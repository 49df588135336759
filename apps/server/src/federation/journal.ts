import { DatabaseSync } from 'node:sqlite';
import { errorMessage, replay, runEventSchema, Zk0Error, type RunEvent, type RunState } from '@zk0/core';

/** A run event with when it was written. */
export interface JournalEntry {
  readonly at: Date;
  readonly event: RunEvent;
}

/** The journal cannot be opened, read or written. */
export class JournalError extends Zk0Error {
  declare readonly code: 'JOURNAL_UNUSABLE';

  constructor(path: string, cause: unknown) {
    super('JOURNAL_UNUSABLE', `journal ${path}: ${errorMessage(cause)}`, {
      cause,
      hint: 'Check the disk and the permissions, or start with another --out directory.',
    });
  }
}

/**
 * Run events on disk, in SQLite: an entry is durable when {@link append} returns, and is there whole or not at all.
 * One process at a time owns a journal: a second one is refused.
 */
export class Journal {
  readonly #path: string;
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#database = new DatabaseSync(path);
      this.#database.exec(`
        PRAGMA locking_mode = EXCLUSIVE;
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = FULL;
        CREATE TABLE IF NOT EXISTS events (
          sequence INTEGER PRIMARY KEY,
          run_id TEXT NOT NULL,
          at INTEGER NOT NULL,
          event TEXT NOT NULL
        ) STRICT;
        CREATE INDEX IF NOT EXISTS events_by_run ON events (run_id, sequence);
        BEGIN IMMEDIATE; COMMIT;
      `);
    } catch (error) {
      throw new JournalError(path, error);
    }
  }

  /** Writes one event durably. */
  append(runId: string, event: RunEvent, at: Date): void {
    try {
      this.#database
        .prepare('INSERT INTO events (run_id, at, event) VALUES (?, ?, ?)')
        .run(runId, at.getTime(), JSON.stringify(event));
    } catch (error) {
      throw new JournalError(this.#path, error);
    }
  }

  /** Every run's id, oldest first. */
  runIds(): string[] {
    const rows = this.#database.prepare('SELECT run_id FROM events GROUP BY run_id ORDER BY MIN(sequence)').all();
    return rows.map((row) => String(row['run_id']));
  }

  /** A run's entries in order. */
  entries(runId: string): JournalEntry[] {
    try {
      const rows = this.#database.prepare('SELECT at, event FROM events WHERE run_id = ? ORDER BY sequence').all(runId);
      return rows.map((row) => ({
        at: new Date(Number(row['at'])),
        event: runEventSchema.parse(JSON.parse(String(row['event']))),
      }));
    } catch (error) {
      throw new JournalError(this.#path, error);
    }
  }

  /** A run's state, replayed; `null` when there is no such run. */
  state(runId: string): RunState | null {
    return replay(this.entries(runId).map(({ event }) => event));
  }

  close(): void {
    this.#database.close();
  }
}
