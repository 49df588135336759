import assert from 'node:assert/strict';
import type { LeaseStore } from '../leases/lease-store.ts';
import type { ContractCase } from './contract-case.ts';

/** A lease store, and a way to let its clock go on. */
export interface LeaseStoreUnderTest {
  readonly leases: LeaseStore;
  readonly pass: (ms: number) => void | Promise<void>;
}

/** What holds for every {@link LeaseStore}. */
export const leaseStoreContract: readonly ContractCase<LeaseStoreUnderTest>[] = [
  {
    name: 'gives a lease to one holder at a time, who may renew it',
    run: async (open: () => LeaseStoreUnderTest | Promise<LeaseStoreUnderTest>): Promise<void> => {
      const { leases } = await open();
      assert.equal((await leases.acquire('run', 'a', 1000))?.holder, 'a');
      assert.equal(await leases.acquire('run', 'b', 1000), null);
      assert.notEqual(await leases.acquire('run', 'a', 1000), null);
      assert.notEqual(await leases.acquire('other', 'b', 1000), null);
    },
  },
  {
    name: 'lets another holder have it once it is given back or has expired',
    run: async (open: () => LeaseStoreUnderTest | Promise<LeaseStoreUnderTest>): Promise<void> => {
      const { leases, pass } = await open();
      await leases.acquire('run', 'a', 1000);
      await leases.release('run', 'b');
      assert.equal(await leases.acquire('run', 'b', 1000), null);
      await leases.release('run', 'a');
      assert.notEqual(await leases.acquire('run', 'b', 1000), null);
      await pass(999);
      assert.equal(await leases.acquire('run', 'c', 1000), null);
      await pass(1);
      assert.equal((await leases.acquire('run', 'c', 1000))?.holder, 'c');
      assert.equal(await leases.acquire('run', 'b', 1000), null);
    },
  },
];
