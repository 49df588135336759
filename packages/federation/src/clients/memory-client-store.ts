import type { ClientStore, ClientStoreListener, StoredClient } from './client-store.ts';

/** Clients in this process's memory: for tests, and for servers in one process. */
export class MemoryClientStore implements ClientStore {
  readonly #clients = new Map<string, StoredClient>();
  readonly #listeners = new Set<ClientStoreListener>();

  all(): Promise<readonly StoredClient[]> {
    return Promise.resolve([...this.#clients.values()]);
  }

  put(client: StoredClient): Promise<void> {
    this.#clients.set(client.clientId, structuredClone(client));
    for (const { onClient } of this.#listeners) onClient(structuredClone(client));
    return Promise.resolve();
  }

  remove(clientId: string): Promise<void> {
    this.#clients.delete(clientId);
    return Promise.resolve();
  }

  watch(listener: ClientStoreListener): () => Promise<void> {
    this.#listeners.add(listener);
    for (const client of this.#clients.values()) listener.onClient(structuredClone(client));
    return () => {
      this.#listeners.delete(listener);
      return Promise.resolve();
    };
  }

  beat(server: string, isThere: boolean): Promise<void> {
    for (const { onServer } of this.#listeners) onServer(server, isThere);
    return Promise.resolve();
  }
}
