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
  close(): void;
}

/**
 * Takes the state folder of a server whose ledger is elsewhere: SQLite's file lock keeps a second process away, and ends with this one
 * however it dies. (The embedded ledger is its own lock.)
 *
 * @throws FederationError `LEDGER_IN_USE` while another process works there; Zk0Error `OUTPUT_UNWRITABLE`; StorageError
 */
export async function lockState(directory: string): Promise<StateLock> {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(directory, 'lock.sqlite'));
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
    const holder = await holderIn(directory);
    const held = lock;
    return { holder, close: () => { held.close(); } };
  } catch (error) {
    lock?.close();
    if (isHeldByOther(error)) {
      throw new FederationError('LEDGER_IN_USE', `${directory}: another server works with it`, { cause: error, hint: 'Stop the other server, or start this one with another directory (--out).' });
    }
    if (error instanceof Zk0Error) throw error;
    throw sqliteDiskError(directory, error) ?? new Zk0Error('OUTPUT_UNWRITABLE', `cannot write to ${directory}: ${errorMessage(error)}`, { cause: error, hint: 'Choose another directory with --out.' });
  }
}

async function holderIn(directory: string): Promise<string> {
  const file = join(directory, 'holder');
  const kept = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  if (HOLDER.test(kept)) return kept;
  const made = randomBytes(16).toString('hex');
  await writeFileAtomic(file, `${made}\n`);
  return made;
}
