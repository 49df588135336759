import type { ClientStore, StoredClient } from './client-store.ts';

/** Clients in this process's memory: for tests, and for servers in one process. */
export class MemoryClientStore implements ClientStore {
  readonly #clients = new Map<string, StoredClient>();

  all(): Promise<readonly StoredClient[]> {
    return Promise.resolve([...this.#clients.values()]);
  }

  put(client: StoredClient): Promise<void> {
    this.#clients.set(client.clientId, structuredClone(client));
    return Promise.resolve();
  }

  remove(clientId: string): Promise<void> {
    this.#clients.delete(clientId);
    return Promise.resolve();
  }
}
