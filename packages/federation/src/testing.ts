/**
 * @module
 * For tests: the contracts that every implementation of the engine's interfaces keeps, stores in memory, a clock that is moved by hand.
 */
export type { ContractCase } from './testing/contract-case.ts';
export { ledgerStoreContract } from './testing/ledger-store-contract.ts';
export { clientStoreContract } from './testing/client-store-contract.ts';
export { MemoryClientStore } from './clients/memory-client-store.ts';
export { leaseStoreContract, type LeaseStoreUnderTest } from './testing/lease-store-contract.ts';
export { partQueueContract, type PartQueuesUnderTest } from './testing/part-queue-contract.ts';
export { taskQueueContract } from './testing/task-queue-contract.ts';
export { MemoryLedgerStore } from './ledger/memory-ledger-store.ts';
export { FakeClock } from './testing/fake-clock.ts';
