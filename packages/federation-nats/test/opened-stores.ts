import { silentLog } from '@zk0/federation';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { openNatsStores, parseNatsAddress, type NatsStores, type NatsStoresOptions } from '../src/index.ts';
import { TestNatsServer } from './nats-server.ts';

/** One NATS server for the tests of a suite, and stores on it, which are closed after each test. */
export interface OpenedStores {
  /** Running from the first test to the last. */
  readonly server: TestNatsServer;
  /** The address of a federation that nobody has used yet. */
  readonly newFederation: () => string;
  readonly open: (address: string, options?: Partial<NatsStoresOptions>) => Promise<NatsStores>;
}

/** Call it where the suite is described. */
export function openedStores(prefix: string): OpenedStores {
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
  return {
    get server() {
      return server;
    },
    newFederation: () => server.address(`${prefix}-${federations++}`),
    open: async (address, options = {}) => {
      const stores = await openNatsStores(parseNatsAddress(address), { log: silentLog, environment: {}, ...options });
      opened.push(stores);
      return stores;
    },
  };
}
