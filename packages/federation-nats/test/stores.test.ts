import { silentLog, systemClock } from '@zk0/federation';
import { clientStoreContract, FakeClock, leaseStoreContract, ledgerStoreContract, taskQueueContract } from '@zk0/federation/testing';
import { afterAll, afterEach, beforeAll, describe, it } from 'vitest';
import { openNatsStores, parseNatsAddress, type NatsStores } from '../src/index.ts';
import { NO_NATS_SERVER, natsServerBinary, TestNatsServer } from './nats-server.ts';

describe.skipIf(natsServerBinary === undefined)(`stores on NATS${natsServerBinary === undefined ? ` (${NO_NATS_SERVER})` : ''}`, () => {
  let server: TestNatsServer;
  let federations = 0;
  const opened: NatsStores[] = [];
  beforeAll(async () => {
    server = await TestNatsServer.start();
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((stores) => stores.close()));
  });
  afterAll(() => server.close());

  const open = async (clock = systemClock): Promise<NatsStores> => {
    const stores = await openNatsStores(parseNatsAddress(server.address(`case-${federations++}`)), { log: silentLog, clock });
    opened.push(stores);
    return stores;
  };

  describe('the ledger store', () => {
    for (const { name, run } of ledgerStoreContract) it(name, () => run(async () => (await open()).ledger));
  });
  describe('the lease store', () => {
    const underTest = async (): Promise<{ leases: NatsStores['leases']; pass: (ms: number) => void }> => {
      const clock = new FakeClock();
      return { leases: (await open(clock)).leases, pass: (ms) => { clock.advance(ms); } };
    };
    for (const { name, run } of leaseStoreContract) it(name, () => run(underTest));
  });
  describe('the client store', () => {
    for (const { name, run } of clientStoreContract) it(name, () => run(async () => (await open()).clients));
  });
  describe('the task queue', () => {
    for (const { name, run } of taskQueueContract) it(name, () => run(async () => (await open()).queue));
  });
});
