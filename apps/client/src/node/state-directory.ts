import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { errorMessage, Zk0Error } from '@zk0/core';
import { isHeldByOther, makeDirectory, sqliteDiskError, writeFileAtomic } from '@zk0/storage';

const INSTANCE = /^[0-9a-f]{32}$/;

/** The folder in which one client keeps its state, held by this process alone. */
export interface StateDirectory {
  /** Names this installation to the server: random, made once, the same after every restart. */
  readonly instance: string;
  close(): void;
}

/**
 * Takes a client's state folder, making it if missing. SQLite's file lock keeps a second process away, and ends with this one however it
 * dies.
 *
 * @throws Zk0Error `CLIENT_RUNNING` while another process works there, `STATE_UNWRITABLE`; StorageError when the folder cannot be made
 */
export async function openStateDirectory(directory: string): Promise<StateDirectory> {
  let lock: DatabaseSync | undefined;
  try {
    makeDirectory(directory);
    lock = new DatabaseSync(join(directory, 'lock.sqlite'));
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
    const instance = await instanceIn(directory);
    const held = lock;
    return {
      instance,
      close: () => {
        held.close();
      },
    };
  } catch (error) {
    lock?.close();
    if (isHeldByOther(error)) {
      throw new Zk0Error('CLIENT_RUNNING', `another zk0-client works with ${directory}`, {
        cause: error,
        hint: 'Stop it first, or give this one an id of its own with --id.',
      });
    }
    if (error instanceof Zk0Error) throw error;
    const disk = sqliteDiskError(directory, error);
    if (disk !== undefined) throw disk;
    throw new Zk0Error('STATE_UNWRITABLE', `cannot write to ${directory}: ${errorMessage(error)}`, {
      cause: error,
      hint: 'Choose another folder with --state.',
    });
  }
}

async function instanceIn(directory: string): Promise<string> {
  const file = join(directory, 'instance');
  try {
    const kept = readFileSync(file, 'utf8').trim();
    if (INSTANCE.test(kept)) return kept;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const made = randomBytes(16).toString('hex');
  await writeFileAtomic(file, `${made}\n`);
  return made;
}
