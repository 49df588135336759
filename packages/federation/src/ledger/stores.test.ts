import { describe, it } from 'vitest';
import { clientStoreContract, FakeClock, leaseStoreContract, ledgerStoreContract, MemoryClientStore, MemoryLedgerStore, taskQueueContract } from '../testing.ts';
import { MemoryTaskQueue } from '../tasks/memory-task-queue.ts';
import { openSqliteStores } from './sqlite-stores.ts';

describe.each([
  ['SQLite', () => openSqliteStores(':memory:').ledger],
  ['memory', () => new MemoryLedgerStore()],
])('the ledger store in %s', (_name, open) => {
  for (const { name, run } of ledgerStoreContract) it(name, () => run(open));
});

describe('the lease store in SQLite', () => {
  const open = (): { leases: ReturnType<typeof openSqliteStores>['leases']; pass: (ms: number) => void } => {
    const clock = new FakeClock();
    return { leases: openSqliteStores(':memory:', clock).leases, pass: (ms) => { clock.advance(ms); } };
  };
  for (const { name, run } of leaseStoreContract) it(name, () => run(open));
});

describe('the client store in memory', () => {
  for (const { name, run } of clientStoreContract) it(name, () => run(() => new MemoryClientStore()));
});

describe('the task queue in memory', () => {
  for (const { name, run } of taskQueueContract) it(name, () => run(() => new MemoryTaskQueue()));
});
