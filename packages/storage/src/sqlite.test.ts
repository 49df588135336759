import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { inTransaction, isHeldByOther, sqliteDiskError } from './sqlite.ts';

function fullDatabase(): DatabaseSync {
  const database = new DatabaseSync(':memory:');
  // Rows of 3 kB in 20 pages of 4 kB: SQLite then says of the file what it says of a full disk.
  database.exec('CREATE TABLE kept (value BLOB) STRICT; PRAGMA max_page_count = 20');
  return database;
}

const ROW = new Uint8Array(3000);

it('a full disk is reported as what it is, and nothing of the transaction stays', () => {
  const database = fullDatabase();
  const insert = database.prepare('INSERT INTO kept VALUES (?)');
  inTransaction(database, () => insert.run(ROW));
  let reported: unknown;
  try {
    inTransaction(database, () => {
      for (let row = 0; row < 40; row++) insert.run(ROW);
    });
  } catch (error) {
    reported = error;
  }
  expect(sqliteDiskError('ledger /there', reported)).toMatchObject({ code: 'DISK_FULL', message: 'ledger /there: no space left to write' });
  expect(database.prepare('SELECT count(*) AS rows FROM kept').get()).toEqual({ rows: 1 });
  inTransaction(database, () => insert.run(ROW));
  expect(database.prepare('SELECT count(*) AS rows FROM kept').get()).toEqual({ rows: 2 });
});

it('an error of the work undoes it', () => {
  const database = fullDatabase();
  expect(() =>
    inTransaction(database, () => {
      database.prepare('INSERT INTO kept VALUES (?)').run(ROW);
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(database.prepare('SELECT count(*) AS rows FROM kept').get()).toEqual({ rows: 0 });
});

it('tells a file that another holds, and leaves other errors alone', () => {
  expect(isHeldByOther({ errcode: 5 })).toBe(true);
  expect(isHeldByOther({ errcode: 261 })).toBe(true);
  expect(isHeldByOther(new Error('no'))).toBe(false);
  expect(sqliteDiskError('it', { errcode: 1544 })).toMatchObject({ code: 'DISK_READ_ONLY' });
  expect(sqliteDiskError('it', { errcode: 11 })).toBeUndefined();
});
