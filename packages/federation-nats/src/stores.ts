import { StorageType } from '@nats-io/jetstream';
import type { SharedNames, SharedTable } from '@zk0/storage';
import { closeAll, PartQueue, systemClock, type ClientStore, type Clock, type LeaseStore, type LedgerStore, type TaskQueue } from '@zk0/federation';
import { NatsClientStore } from './clients/nats-client-store.ts';
import { LedgerStream } from './ledger/ledger-stream.ts';
import { NatsLedgerStore } from './ledger/nats-ledger-store.ts';
import { NatsLeaseStore } from './leases/nats-lease-store.ts';
import type { NatsAddress } from './nats/address.ts';
import { Bucket } from './nats/bucket.ts';
import { NatsLink, type NatsOptions } from './nats/connection.ts';
import { NatsPartTable } from './parts/nats-part-table.ts';
import { NatsSharedNames, NatsSharedTable } from './shared/nats-shared-table.ts';
import { NatsTaskQueue } from './tasks/nats-task-queue.ts';

/** How long a signature is remembered, in ms: longer than clocks may differ in either direction. */
const NONCES_MS = 15 * 60_000;

/** What several servers of a federation share over NATS. */
export interface NatsStores {
  readonly ledger: LedgerStore;
  readonly leases: LeaseStore;
  readonly clients: ClientStore;
  readonly queue: TaskQueue;
  readonly parts: PartQueue;
  /** Where enrolled nodes and tokens are kept; it belongs into a backup. */
  readonly nodes: SharedTable;
  /** Where signatures are taken once, over all servers. */
  readonly nonces: SharedNames;
  close(): Promise<void>;
}

/** How stores are opened. */
export interface NatsStoresOptions extends NatsOptions {
  readonly clock?: Clock;
  /** After how long tasks that another process replaced are published again, in ms (10 000). */
  readonly republishMs?: number;
}

/**
 * Connects to NATS, and finds or makes the streams of a federation.
 *
 * @throws StorageError `STORE_UNREACHABLE`; BackendError `BACKEND_REFUSED`, `BACKEND_UNSUITABLE`; FederationError `LEDGER_VERSION`,
 *   `LEDGER_UNUSABLE`. Nothing stays open then.
 */
export async function openNatsStores(address: NatsAddress, options: NatsStoresOptions): Promise<NatsStores> {
  const { log, clock = systemClock, republishMs } = options;
  const link = await NatsLink.open(address, options);
  try {
    const stream = await LedgerStream.open(link);
    const [leases, clients, tasks, parts] = [await Bucket.open(link, 'leases'), await Bucket.open(link, 'clients'), await Bucket.open(link, 'tasks'), await Bucket.open(link, 'parts')];
    const queue = new NatsTaskQueue(tasks, { log, ...(republishMs !== undefined && { republishMs }) });
    const nodes = await Bucket.open(link, 'nodes');
    const nonces = await Bucket.open(link, 'nonces', { ttl: NONCES_MS, storage: StorageType.Memory });
    const table = new NatsPartTable(parts, clock, log);
    return {
      ledger: new NatsLedgerStore(stream),
      leases: new NatsLeaseStore(leases, clock),
      clients: new NatsClientStore(clients, log),
      queue,
      parts: new PartQueue(table, clock),
      nodes: new NatsSharedTable(nodes),
      nonces: new NatsSharedNames(nonces),
      close: () => closeAll(log, [() => queue.close(), () => table.close(), () => link.close()]),
    };
  } catch (error) {
    await link.close();
    throw error;
  }
}
