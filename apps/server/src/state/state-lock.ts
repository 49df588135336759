import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { errorMessage, Zk0Error } from '@zk0/core';
import { FederationError } from '@zk0/federation';
import { isHeldByOther, sqliteDiskError, writeFileAtomic } from '@zk0/storage';

const HOLDER = /^[0-9a-f]{32}$/;

/** A state folder that is held by this process alone. */
export interface StateLock {
  /** Names this server to others of its federation: random, made once, the same after every restart. */
  readonly holder: string;
  /** The folder is this server's from now on: a start that failed before leaves it as it was. */
  keep(): Promise<void>;
  close(): void;
}

/**
 * Takes the state folder of a server whose ledger is elsewhere: SQLite's file lock keeps a second process away, and ends with this one
 * however it dies. (The embedded ledger is its own lock.)
 *
 * @throws FederationError `LEDGER_IN_USE` while another process works there; Zk0Error `OUTPUT_UNWRITABLE`; StorageError
 */
export function lockState(directory: string): StateLock {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(directory, 'lock.sqlite'));
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
    const [held, kept] = [lock, holderIn(directory)];
    const holder = kept ?? randomBytes(16).toString('hex');
    return {
      holder,
      keep: async () => {
        if (kept === null) await writeFileAtomic(holderFile(directory), `${holder}\n`);
      },
      close: () => { held.close(); },
    };
  } catch (error) {
    lock?.close();
    if (isHeldByOther(error)) {
      throw new FederationError('LEDGER_IN_USE', `${directory}: another server works with it`, { cause: error, hint: 'Stop the other server, or start this one with another directory (--out).' });
    }
    if (error instanceof Zk0Error) throw error;
    throw sqliteDiskError(directory, error) ?? new Zk0Error('OUTPUT_UNWRITABLE', `cannot write to ${directory}: ${errorMessage(error)}`, { cause: error, hint: 'Choose another directory with --out.' });
  }
}

/** Whether a folder is that of a server whose ledger is elsewhere. */
export function isSharedState(directory: string): boolean {
  return existsSync(holderFile(directory));
}

function holderIn(directory: string): string | null {
  const kept = isSharedState(directory) ? readFileSync(holderFile(directory), 'utf8').trim() : '';
  return HOLDER.test(kept) ? kept : null;
}

function holderFile(directory: string): string {
  return join(directory, 'holder');
}
