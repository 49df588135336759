import assert from 'node:assert/strict';
import type { ClientStore, StoredClient } from '../clients/client-store.ts';
import type { ContractCase } from './contract-case.ts';

const client = (clientId: string, more: Partial<StoredClient> = {}): StoredClient => ({
  clientId, instance: 'i', name: 'Anna’s arm', agent: 'zk0', profile: { arms: [1, { left: null }] }, label: 'cubes', numExamples: 10, lastSeen: 1000, bytesUp: 0, bytesDown: 0, ...more,
});

/** What holds for every {@link ClientStore}; each case gets an empty one. */
export const clientStoreContract: readonly ContractCase<ClientStore>[] = [
  {
    name: 'keeps each client as it was stored last, whatever its name',
    run: async (open: () => ClientStore | Promise<ClientStore>): Promise<void> => {
      const store = await open();
      assert.deepEqual(await store.all(), []);
      const odd = ['a', 'b.c', '*', '>', 'ü ✓/x', '='].map((name) => client(name));
      for (const each of odd) await store.put(each);
      await store.put(client('a', { bytesUp: 5, lastSeen: 2000 }));
      const byId = (a: StoredClient, b: StoredClient): number => (a.clientId < b.clientId ? -1 : 1);
      assert.deepEqual([...(await store.all())].sort(byId), [client('a', { bytesUp: 5, lastSeen: 2000 }), ...odd.slice(1)].sort(byId));
    },
  },
  {
    name: 'forgets a client, and knows it again when it comes back',
    run: async (open: () => ClientStore | Promise<ClientStore>): Promise<void> => {
      const store = await open();
      await store.put(client('a'));
      await store.put(client('b'));
      await store.remove('a');
      await store.remove('nobody');
      assert.deepEqual((await store.all()).map(({ clientId }) => clientId), ['b']);
      await store.put(client('a', { instance: 'j' }));
      assert.deepEqual((await store.all()).map(({ instance }) => instance).sort(), ['i', 'j']);
    },
  },
];
