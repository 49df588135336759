import type { RegisteredClient } from './client-registry.ts';

/** A client as a store keeps it: what it is doing and uses is known to the server that it talks to, and to no other. */
export type StoredClient = Omit<RegisteredClient, 'activity' | 'resources'>;

/**
 * Where clients that have joined are kept beside the memory of the process, so that a server which takes over knows them: they go on
 * without joining again, and what they have sent and received so far is not forgotten. A server without such a store knows who has joined
 * since it was started; the clients join again by themselves.
 */
export interface ClientStore {
  /** Every client that is stored. @throws StorageError `STORE_UNREACHABLE`, which passes */
  all(): Promise<readonly StoredClient[]>;
  /** Stores a client in place of what is stored of it. @throws StorageError `STORE_UNREACHABLE`, which passes */
  put(client: StoredClient): Promise<void>;
  /** Forgets a client; does nothing where there is none. @throws StorageError `STORE_UNREACHABLE`, which passes */
  remove(clientId: string): Promise<void>;
}
