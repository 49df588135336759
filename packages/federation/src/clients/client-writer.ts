import { errorMessage } from '@zk0/core';
import type { FederationLog } from '../log.ts';
import type { ClientStore, StoredClient } from './client-store.ts';

/**
 * Writes changes of clients to a store, one after the other, the newest of each client. Nobody waits for it: what cannot be written now
 * is written with the next change or {@link flush}.
 */
export class ClientWriter {
  readonly #store: ClientStore;
  readonly #log: FederationLog;
  /** What is to be written; `null` for a client that is forgotten. */
  readonly #waiting = new Map<string, StoredClient | null>();
  #writing: Promise<void> | undefined;
  #isTroubled = false;

  constructor(store: ClientStore, log: FederationLog) {
    this.#store = store;
    this.#log = log;
  }

  put(client: StoredClient): void {
    this.#waiting.set(client.clientId, client);
    void this.flush();
  }

  remove(clientId: string): void {
    this.#waiting.set(clientId, null);
    void this.flush();
  }

  /** Resolves when everything is written, or the store cannot be written to at the moment. */
  flush(): Promise<void> {
    return (this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    }));
  }

  async #write(): Promise<void> {
    while (this.#waiting.size > 0) {
      const [clientId, client] = this.#waiting.entries().next().value!;
      try {
        if (client === null) await this.#store.remove(clientId);
        else await this.#store.put(client);
        // Unless it has changed meanwhile.
        if (this.#waiting.get(clientId) === client) this.#waiting.delete(clientId);
        this.#isTroubled = false;
      } catch (error) {
        if (!this.#isTroubled) this.#log.warn(`clients cannot be stored at the moment: ${errorMessage(error)}`, { error });
        this.#isTroubled = true;
        return;
      }
    }
  }
}
