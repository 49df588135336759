import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, openSync } from 'node:fs';
import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { errorMessage, fingerprintOf, Zk0Error } from '@zk0/core';
import { inTransaction, sqliteDiskError } from '@zk0/storage';
import { TransportError } from '../errors.ts';
import { MAX_NAME, type Enrolment, type NodeInfo, type NodeRegistry, type NodeState, type TokenInfo, type TokenOptions } from './registry.ts';
import { assertUsable, drawToken, idTaken, nodeRevoked, nodeUnknown, tokenHash, tokenUnknown, tokenUnknownHere } from './token-rules.ts';

const SCHEMA_VERSION = 1;
/** Another process may be writing; it takes milliseconds. */
const BUSY_TIMEOUT_MS = 5000;
const SEEN_EVERY_MS = 60_000;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS server (id TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    uses INTEGER NOT NULL,
    used INTEGER NOT NULL,
    needs_approval INTEGER NOT NULL,
    note TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
  ) STRICT;
  CREATE TABLE IF NOT EXISTS nodes (
    fingerprint TEXT PRIMARY KEY,
    client_id TEXT NOT NULL,
    public_key TEXT NOT NULL,
    dataset TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'revoked')),
    enrolled_at INTEGER NOT NULL,
    last_seen_at INTEGER,
    token_id TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX IF NOT EXISTS nodes_by_client ON nodes (client_id) WHERE state <> 'revoked';
`;

/** Options of {@link openNodeRegistry}. */
export interface NodeRegistryOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * Opens a registry in an SQLite file that only its owner may read, or makes one. Several processes of one machine may have it open.
 *
 * @throws TransportError `REGISTRY_UNUSABLE`
 */
export function openNodeRegistry(path: string, { now = Date.now }: NodeRegistryOptions = {}): NodeRegistry {
  try {
    closeSync(openSync(path, 'a', 0o600));
    if (process.platform !== 'win32') chmodSync(path, 0o600);
    return new SqliteRegistry(path, now);
  } catch (error) {
    throw unusable(path, error);
  }
}

type Row = Record<string, SQLOutputValue>;

class SqliteRegistry implements NodeRegistry {
  readonly serverId: string;
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #now: () => number;
  readonly #nodeByFingerprint: StatementSync;
  /** When the last request of each node came, where that is not written down yet. */
  readonly #seen = new Map<string, number>();
  #seenWrittenAt = -Infinity;
  #seenTimer: NodeJS.Timeout | undefined;

  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
    this.#database = new DatabaseSync(path);
    this.#database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;`);
    this.serverId = inTransaction(this.#database, () => {
      const version = Number(this.#database.prepare('PRAGMA user_version').get()?.['user_version']);
      if (version > SCHEMA_VERSION) throw new Error(`its layout is version ${version}; this release reads ${SCHEMA_VERSION}`);
      this.#database.exec(`${SCHEMA} PRAGMA user_version = ${SCHEMA_VERSION};`);
      const kept = this.#database.prepare('SELECT id FROM server').get();
      if (kept !== undefined) return String(kept['id']);
      const made = randomBytes(16).toString('base64url');
      this.#database.prepare('INSERT INTO server (id) VALUES (?)').run(made);
      return made;
    });
    this.#nodeByFingerprint = this.#database.prepare('SELECT * FROM nodes WHERE fingerprint = ?');
  }

  createToken(options: TokenOptions = {}): Promise<{ readonly token: string; readonly info: TokenInfo }> {
    return this.#call(() => {
      const created = this.#now();
      const { token, hash, info } = drawToken(options, created);
      this.#database
        .prepare('INSERT INTO tokens VALUES (?, ?, ?, 0, ?, ?, ?, ?, NULL)')
        .run(info.id, hash, info.uses, info.needsApproval ? 1 : 0, info.note, created, info.expiresAt.getTime());
      return { token, info };
    });
  }

  listTokens(): Promise<readonly TokenInfo[]> {
    return this.#call(() => this.#database.prepare('SELECT * FROM tokens ORDER BY created_at, rowid').all().map(tokenInfo));
  }

  revokeToken(id: string): Promise<TokenInfo> {
    return this.#call(() => {
      this.#database.prepare('UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL').run(this.#now(), id);
      const info = this.#token('id', id);
      if (info !== null) return info;
      throw tokenUnknown(id);
    });
  }

  enroll({ token, clientId, publicKey, dataset }: Enrolment): Promise<NodeInfo> {
    return this.#call(() =>
      inTransaction(this.#database, () => {
        const info = this.#token('hash', tokenHash(token));
        if (info === null) throw tokenUnknownHere();
        const fingerprint = fingerprintOf(publicKey);
        const known = this.#node(fingerprint);
        if (known?.state === 'revoked') throw nodeRevoked(known);
        if (known?.clientId === clientId && known.tokenId === info.id) return known;
        assertUsable(info, this.#now());
        const holder = this.#database.prepare("SELECT * FROM nodes WHERE client_id = ? AND state <> 'revoked'").get(clientId);
        if (holder !== undefined && holder['fingerprint'] !== fingerprint) throw idTaken(clientId);
        // The same key with a new token may take another id.
        this.#database.prepare('DELETE FROM nodes WHERE fingerprint = ?').run(fingerprint);
        this.#database
          .prepare('INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, NULL, ?)')
          .run(fingerprint, clientId, publicKey, dataset.slice(0, MAX_NAME), info.needsApproval ? 'pending' : 'approved', this.#now(), info.id);
        this.#database.prepare('UPDATE tokens SET used = used + 1 WHERE id = ?').run(info.id);
        return this.#node(fingerprint)!;
      }),
    );
  }

  node(fingerprint: string): Promise<NodeInfo | null> {
    return this.#call(() => this.#node(fingerprint));
  }

  listNodes(): Promise<readonly NodeInfo[]> {
    return this.#call(() => this.#database.prepare('SELECT * FROM nodes ORDER BY enrolled_at, rowid').all().map((row) => this.#nodeInfo(row)));
  }

  approveNode(name: string): Promise<NodeInfo> {
    return this.#change(name, 'approved');
  }

  revokeNode(name: string): Promise<NodeInfo> {
    return this.#change(name, 'revoked');
  }

  seen(fingerprint: string): Promise<void> {
    return this.#call(() => {
      const now = this.#now();
      this.#seen.set(fingerprint, now);
      if (now - this.#seenWrittenAt >= SEEN_EVERY_MS) this.#writeSeen(now);
      else this.#seenTimer ??= setTimeout(() => { void this.#call(() => { this.#writeSeen(this.#now()); }).catch(() => undefined); }, SEEN_EVERY_MS).unref();
    });
  }

  close(): Promise<void> {
    return this.#call(() => {
      try {
        this.#writeSeen(this.#now());
      } finally {
        this.#database.close();
      }
    });
  }

  /** Writes for all nodes at once: each write waits for the disk. What cannot be written is tried again in a minute. */
  #writeSeen(now: number): void {
    clearTimeout(this.#seenTimer);
    this.#seenTimer = undefined;
    this.#seenWrittenAt = now;
    if (this.#seen.size === 0) return;
    inTransaction(this.#database, () => {
      const update = this.#database.prepare('UPDATE nodes SET last_seen_at = ? WHERE fingerprint = ?');
      for (const [fingerprint, at] of this.#seen) update.run(at, fingerprint);
    });
    this.#seen.clear();
  }

  #change(name: string, state: NodeState): Promise<NodeInfo> {
    return this.#call(() =>
      inTransaction(this.#database, () => {
        // A name may be of one that is enrolled and of others that were: the enrolled one is meant.
        const row = this.#database
          .prepare("SELECT * FROM nodes WHERE fingerprint = ?1 OR client_id = ?1 ORDER BY state = 'revoked', enrolled_at DESC, rowid DESC LIMIT 1")
          .get(name);
        if (row === undefined) throw nodeUnknown(name);
        const node = this.#nodeInfo(row);
        if (node.state === 'revoked' && state !== 'revoked') throw nodeRevoked(node);
        this.#database.prepare('UPDATE nodes SET state = ? WHERE fingerprint = ?').run(state, node.fingerprint);
        return { ...node, state };
      }),
    );
  }

  #token(column: 'id' | 'hash', value: string): TokenInfo | null {
    const row = this.#database.prepare(`SELECT * FROM tokens WHERE ${column} = ?`).get(value);
    return row === undefined ? null : tokenInfo(row);
  }

  #node(fingerprint: string): NodeInfo | null {
    const row = this.#nodeByFingerprint.get(fingerprint);
    return row === undefined ? null : this.#nodeInfo(row);
  }

  #nodeInfo(row: Row): NodeInfo {
    const info = nodeInfo(row);
    const seen = this.#seen.get(info.fingerprint);
    return seen === undefined ? info : { ...info, lastSeenAt: new Date(seen) };
  }

  /** Runs a step as a promise; what the database itself reports becomes `REGISTRY_UNUSABLE`. */
  async #call<T>(step: () => T): Promise<T> {
    await Promise.resolve();
    try {
      return step();
    } catch (error) {
      throw error instanceof Zk0Error ? error : unusable(this.#path, error);
    }
  }
}

function date(value: SQLOutputValue | undefined): Date {
  return new Date(Number(value));
}

function dateOrNull(value: SQLOutputValue | undefined): Date | null {
  return value === null || value === undefined ? null : date(value);
}

function tokenInfo(row: Row): TokenInfo {
  return {
    id: String(row['id']),
    uses: Number(row['uses']),
    used: Number(row['used']),
    needsApproval: row['needs_approval'] === 1,
    note: String(row['note']),
    createdAt: date(row['created_at']),
    expiresAt: date(row['expires_at']),
    revokedAt: dateOrNull(row['revoked_at']),
  };
}

function nodeInfo(row: Row): NodeInfo {
  return {
    clientId: String(row['client_id']),
    fingerprint: String(row['fingerprint']),
    publicKey: String(row['public_key']),
    dataset: String(row['dataset']),
    state: row['state'] as NodeState,
    enrolledAt: date(row['enrolled_at']),
    lastSeenAt: dateOrNull(row['last_seen_at']),
    tokenId: String(row['token_id']),
  };
}

function unusable(path: string, cause: unknown): Zk0Error {
  const what = `registry of nodes ${path}`;
  return (
    sqliteDiskError(what, cause) ??
    new TransportError('REGISTRY_UNUSABLE', `${what}: ${errorMessage(cause)}`, {
      cause,
      hint: 'Check the path and the permissions; restore the file from a copy if it is damaged.',
    })
  );
}
