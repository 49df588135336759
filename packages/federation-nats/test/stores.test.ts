import { systemClock } from '@zk0/federation';
import { clientStoreContract, FakeClock, leaseStoreContract, ledgerStoreContract, partQueueContract, taskQueueContract } from '@zk0/federation/testing';
import { describe, it } from 'vitest';
import type { NatsStores } from '../src/index.ts';
import { NO_NATS_SERVER, natsServerBinary } from './nats-server.ts';
import { openedStores } from './opened-stores.ts';

describe.skipIf(natsServerBinary === undefined)(`stores on NATS${natsServerBinary === undefined ? ` (${NO_NATS_SERVER})` : ''}`, () => {
  const { newFederation, open: openAt } = openedStores('case');
  const open = (clock = systemClock): Promise<NatsStores> => openAt(newFederation(), { clock });

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
  describe('the part queue', () => {
    for (const { name, run } of partQueueContract) {
      it(name, () => run(async () => {
        const [address, clock] = [newFederation(), new FakeClock()];
        const [leader, worker] = [await openAt(address, { clock }), await openAt(address, { clock })];
        return { leader: leader.parts, worker: worker.parts, pass: (ms) => { clock.advance(ms); } };
      }));
    }
  });
  describe('the task queue', () => {
    for (const { name, run } of taskQueueContract) it(name, () => run(async () => (await open()).queue));
  });
});
