import type { DatabaseSync } from 'node:sqlite';
import { errorMessage } from '@zk0/core';
import { StorageError } from './errors.ts';

/** SQLite's primary result codes, in the low byte of an extended one. */
const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;

/**
 * Does the work in one transaction, which nobody else writes beside; an error undoes it.
 *
 * @throws what the work throws, and SQLite's own errors.
 */
export function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    // SQLite has undone it already where the disk was full or failed, and would report that instead of the disk.
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

/** Whether another process holds the file. */
export function isHeldByOther(error: unknown): boolean {
  return resultCode(error) === SQLITE_BUSY;
}

/**
 * What SQLite reports of the disk below a file, as an error of this package; undefined where it reports something else.
 *
 * @param what - names the file in the message, such as `ledger /path`.
 */
export function sqliteDiskError(what: string, error: unknown): StorageError | undefined {
  switch (resultCode(error)) {
    case SQLITE_FULL:
      return new StorageError('DISK_FULL', `${what}: no space left to write`, { cause: error, hint: 'Free disk space.' });
    case SQLITE_READONLY:
      return new StorageError('DISK_READ_ONLY', `${what}: it can only be read`, { cause: error, hint: 'Check the permissions of the file and its folder, and how the disk is mounted.' });
    case SQLITE_IOERR:
      return new StorageError('DISK_FAULT', `${what}: ${errorMessage(error)}`, { cause: error, hint: 'Check the disk.' });
    default:
      return undefined;
  }
}

function resultCode(error: unknown): number | undefined {
  const code = (error as { errcode?: number } | null)?.errcode;
  return code === undefined ? undefined : code & 0xff;
}
