import { createHash, randomBytes } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { errorMessage } from '@zk0/core';
import { inTransaction, isHeldByOther, sqliteDiskError } from '@zk0/storage';
import { systemClock, type Clock } from '../clock.ts';
import { FederationError } from '../errors.ts';
import type { Lease, LeaseStore } from '../leases/lease-store.ts';
import type { LedgerStore, StoredEntry, StoredRun } from './ledger-store.ts';

/**
 * Version of the tables, in SQLite's `user_version`. A release reads its own version and migrates the one before it:
 * 0 is the journal of releases before `@zk0/federation` (one table `events`).
 */
export const LEDGER_VERSION = 1;

const TABLES = `
  CREATE TABLE entries (
    run_id TEXT NOT NULL, position INTEGER NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL, checksum TEXT NOT NULL,
    PRIMARY KEY (run_id, position)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE runs (
    sequence INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL, length INTEGER NOT NULL, checksum TEXT NOT NULL,
    summary TEXT NOT NULL, error TEXT
  ) STRICT;
  CREATE TABLE secrets (run_id TEXT PRIMARY KEY, secret BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`;

/** What an embedded server keeps in one SQLite file. */
export interface SqliteStores {
  readonly ledger: LedgerStore;
  readonly leases: LeaseStore;
  close(): void;
}

/**
 * Opens (or makes) the SQLite file of an embedded server. One process at a time owns it.
 *
 * @param path A file, or `:memory:`.
 * @throws FederationError `LEDGER_IN_USE`, `LEDGER_VERSION`, `LEDGER_UNUSABLE`; no handle and no lock stays open then.
 */
export function openSqliteStores(path: string, clock: Clock = systemClock): SqliteStores {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    // FULL: an entry is on disk when the transaction returns. EXCLUSIVE: a second process is refused, not corrupted.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE; COMMIT;');
    prepare(database, path);
    const opened = database;
    return {
      ledger: new SqliteLedgerStore(opened, path),
      leases: new SqliteLeaseStore(opened, path, clock),
      close: () => {
        opened.close();
      },
    };
  } catch (error) {
    database?.close();
    throw ledgerError(path, error);
  }
}

function prepare(database: DatabaseSync, path: string): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
  if (version === LEDGER_VERSION) return;
  if (version > LEDGER_VERSION) {
    throw new FederationError('LEDGER_VERSION', `ledger ${path} has format ${version}, this release reads up to ${LEDGER_VERSION}`, {
      hint: 'Run the release that wrote it, or a newer one.',
    });
  }
  inTransaction(database, () => {
    database.exec(TABLES);
    if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'events'").get() !== undefined) migrateEvents(database);
    database.exec(`PRAGMA user_version = ${LEDGER_VERSION}`);
  });
}

/** Takes over the journal of earlier releases; the summaries are made when the ledger is opened. */
function migrateEvents(database: DatabaseSync): void {
  const runs = database.prepare('SELECT run_id, MIN(at) AS created FROM events GROUP BY run_id ORDER BY MIN(sequence)').all();
  const insert = database.prepare('INSERT INTO entries (run_id, position, at, event, checksum) VALUES (?, ?, ?, ?, ?)');
  for (const row of runs) {
    const runId = String(row['run_id']);
    let checksum = '';
    let position = 0;
    for (const entry of database.prepare('SELECT at, event FROM events WHERE run_id = ? ORDER BY sequence').all(runId)) {
      const [at, event] = [Number(entry['at']), String(entry['event'])];
      checksum = chain(checksum, at, event);
      insert.run(runId, ++position, at, event, checksum);
    }
    database
      .prepare('INSERT INTO runs (run_id, created_at, length, checksum, summary) VALUES (?, ?, ?, ?, ?)')
      .run(runId, Number(row['created']), position, checksum, '');
  }
  database.exec('DROP TABLE events');
}

/** Each checksum covers everything before it: a flipped bit, a missing entry and a swapped one are all noticed. */
function chain(previous: string, at: number, event: string): string {
  return createHash('sha256').update(`${previous}\n${at}\n${event}`).digest('hex');
}

class SqliteLedgerStore implements LedgerStore {
  readonly #database: DatabaseSync;
  readonly #path: string;

  constructor(database: DatabaseSync, path: string) {
    this.#database = database;
    this.#path = path;
  }

  append(runId: string, { position, at, event }: StoredEntry, summary: string): Promise<boolean> {
    return this.#do((database) =>
      inTransaction(database, () => {
        const run = database.prepare('SELECT length, checksum FROM runs WHERE run_id = ?').get(runId);
        const isNext = Number(run?.['length'] ?? 0) === position - 1;
        if (isNext) {
          const checksum = chain(String(run?.['checksum'] ?? ''), at, event);
          database.prepare('INSERT INTO entries (run_id, position, at, event, checksum) VALUES (?, ?, ?, ?, ?)').run(runId, position, at, event, checksum);
          database
            .prepare(
              `INSERT INTO runs (run_id, created_at, length, checksum, summary) VALUES (?, ?, ?, ?, ?)
               ON CONFLICT (run_id) DO UPDATE SET length = excluded.length, checksum = excluded.checksum, summary = excluded.summary`,
            )
            .run(runId, at, position, checksum, summary);
        }
        return isNext;
      }),
    );
  }

  entries(runId: string, from = 1): Promise<readonly StoredEntry[]> {
    return this.#do((database) => {
      const before = database.prepare('SELECT checksum FROM entries WHERE run_id = ? AND position = ?').get(runId, from - 1);
      let checksum = String(before?.['checksum'] ?? '');
      let position = from;
      return database
        .prepare('SELECT position, at, event, checksum FROM entries WHERE run_id = ? AND position >= ? ORDER BY position')
        .all(runId, from)
        .map((row): StoredEntry => {
          const entry = { position: Number(row['position']), at: Number(row['at']), event: String(row['event']) };
          checksum = chain(checksum, entry.at, entry.event);
          if (entry.position !== position++ || checksum !== row['checksum']) throw damaged(runId, position - 1);
          return entry;
        });
    });
  }

  runs(): Promise<readonly StoredRun[]> {
    return this.#do((database) => database.prepare('SELECT * FROM runs ORDER BY sequence').all().map(storedRun));
  }

  run(runId: string): Promise<StoredRun | null> {
    return this.#do((database) => {
      const row = database.prepare('SELECT * FROM runs WHERE run_id = ?').get(runId);
      return row === undefined ? null : storedRun(row);
    });
  }

  summarize(runId: string, summary: string): Promise<void> {
    return this.#do((database) => {
      database.prepare('UPDATE runs SET summary = ? WHERE run_id = ?').run(summary, runId);
    });
  }

  quarantine(runId: string, error: string): Promise<void> {
    return this.#do((database) => {
      database.prepare('UPDATE runs SET error = ? WHERE run_id = ?').run(error, runId);
    });
  }

  secret(runId: string): Promise<Uint8Array> {
    return this.#do((database) => {
      database.prepare('INSERT OR IGNORE INTO secrets (run_id, secret) VALUES (?, ?)').run(runId, randomBytes(32));
      return database.prepare('SELECT secret FROM secrets WHERE run_id = ?').get(runId)!['secret'] as Uint8Array;
    });
  }

  #do<T>(work: (database: DatabaseSync) => T): Promise<T> {
    try {
      return Promise.resolve(work(this.#database));
    } catch (error) {
      return Promise.reject(ledgerError(this.#path, error));
    }
  }
}

class SqliteLeaseStore implements LeaseStore {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #clock: Clock;

  constructor(database: DatabaseSync, path: string, clock: Clock) {
    this.#database = database;
    this.#path = path;
    this.#clock = clock;
  }

  acquire(name: string, holder: string, ttlMs: number): Promise<Lease | null> {
    try {
      const now = this.#clock.now();
      const { changes } = this.#database
        .prepare(
          `INSERT INTO leases (name, holder, expires_at) VALUES (?, ?, ?)
           ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
           WHERE leases.holder = excluded.holder OR leases.expires_at <= ?`,
        )
        .run(name, holder, now + ttlMs, now);
      return Promise.resolve(changes === 0 ? null : { name, holder, expiresAt: now + ttlMs });
    } catch (error) {
      return Promise.reject(ledgerError(this.#path, error));
    }
  }

  release(name: string, holder: string): Promise<void> {
    try {
      this.#database.prepare('DELETE FROM leases WHERE name = ? AND holder = ?').run(name, holder);
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(ledgerError(this.#path, error));
    }
  }
}

function storedRun(row: Record<string, unknown>): StoredRun {
  return {
    runId: String(row['run_id']),
    createdAt: Number(row['created_at']),
    length: Number(row['length']),
    summary: String(row['summary']),
    error: typeof row['error'] === 'string' ? row['error'] : null,
  };
}

function damaged(runId: string, position: number): FederationError {
  return new FederationError('RUN_UNREADABLE', `run ${runId}: entry ${position} of its history is damaged or missing`, {
    hint: 'Restore the ledger from a backup, or start a new run from the last checkpoint.',
  });
}

function ledgerError(path: string, error: unknown): Error {
  if (error instanceof FederationError) return error;
  if (isHeldByOther(error)) {
    return new FederationError('LEDGER_IN_USE', `ledger ${path}: another server works with it`, {
      cause: error,
      hint: 'Stop the other server, or start this one with another directory.',
    });
  }
  const disk = sqliteDiskError(`ledger ${path}`, error);
  if (disk !== undefined) return disk;
  return new FederationError('LEDGER_UNUSABLE', `ledger ${path}: ${errorMessage(error)}`, {
    cause: error,
    hint: 'Check the file and its folder’s permissions; restore it from a backup if it is damaged.',
  });
}
