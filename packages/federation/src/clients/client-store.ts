import type { RegisteredClient } from './registered-client.ts';

/** A client as a store keeps it: what it is doing and uses is known to the server that it talks to, and to no other. */
export interface StoredClient extends Omit<RegisteredClient, 'activity' | 'resources'> {
  /** Whether the server that it talks to hears it; absent where one server at a time uses the store. */
  readonly presence?: 'here' | 'left' | 'offline';
}

/** What servers that share a store hear of one another. */
export interface ClientStoreListener {
  /** A client as some server has stored it: all of them when the watch begins, then each that changes. */
  readonly onClient: (client: StoredClient) => void;
  /** A server says that it is there, or (`false`) that it ends. */
  readonly onServer: (server: string, isThere: boolean) => void;
}

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
  /** Follows what other servers store. Absent where one server at a time uses the store. @returns what ends it */
  watch?(listener: ClientStoreListener): () => Promise<void>;
  /** Says to the others that this server is there, or that it ends. @throws StorageError `STORE_UNREACHABLE`, which passes */
  beat?(server: string, isThere: boolean): Promise<void>;
}

/** A client as it is stored. @param server names the server that hears it, among those that share the store */
export function toStore(client: RegisteredClient, server: string | undefined): StoredClient {
  const stored: StoredClient & { activity?: unknown; resources?: unknown } = { ...client };
  delete stored.activity;
  delete stored.resources;
  const { state } = client.activity;
  return { ...stored, ...(server !== undefined && { server, presence: state === 'left' || state === 'offline' ? state : 'here' }) };
}

/** A client that was stored, as one that is not heard. */
export function fromStore(client: StoredClient): RegisteredClient {
  const known: RegisteredClient & { presence?: unknown; server?: unknown } = { ...client, activity: { state: 'offline' } };
  delete known.presence;
  delete known.server;
  return known;
}
