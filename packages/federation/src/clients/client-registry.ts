import type { ClientPrincipal, ClientResources } from '@zk0/core';
import type { Clock } from '../clock.ts';
import { FederationError } from '../errors.ts';
import { silentLog, type FederationLog } from '../log.ts';
import { fromStore, toStore, type ClientStore, type StoredClient } from './client-store.ts';
import { ClientWriter } from './client-writer.ts';
import { KnownServers } from './known-servers.ts';
import { dated, isOnline, type ClientActivity, type RegisteredClient } from './registered-client.ts';

/** Bounds of a registry. */
export interface ClientRegistryOptions {
  readonly clock: Clock;
  /** A client that was silent for so long is offline. */
  readonly silenceMs: number;
  /** A client that has been away for so long is forgotten (24 h). */
  readonly forgetMs?: number;
  /** Clients that are known at one time (100 000). */
  readonly maxClients?: number;
  /** Where clients are kept for the server after this one; in memory alone when absent. */
  readonly store?: ClientStore | undefined;
  /** Names this server among those that share the store; it is the only one when absent. */
  readonly server?: string | undefined;
  readonly log?: FederationLog;
  /** Called with every client that left or fell silent. */
  readonly onGone: (client: RegisteredClient) => void;
  /** Called with every client of another server that comes, leaves or falls silent, as far as this one has heard. */
  readonly onElsewhere?: (client: RegisteredClient) => void;
  /** Called with every client that is forgotten. */
  readonly onForgotten?: (clientId: string) => void;
}

const DAY_MS = 24 * 3600_000;
/** A client whose requests go to several servers in turn is claimed by each of them so often at most, in ms. */
const CLAIM_MS = 10_000;

/** Who is there. A client is seen when it joins, polls, reports or sends a heartbeat; silence makes it offline. */
export class ClientRegistry {
  readonly #options: ClientRegistryOptions;
  readonly #clients = new Map<string, RegisteredClient>();
  readonly #listeners = new Set<() => void>();
  readonly #writer: ClientWriter | undefined;
  readonly #servers: KnownServers;
  /** When this server said last that a client is its, by client. */
  readonly #claims = new Map<string, number>();

  constructor(options: ClientRegistryOptions) {
    this.#options = options;
    this.#writer = options.store === undefined ? undefined : new ClientWriter(options.store, options.log ?? silentLog);
    this.#servers = new KnownServers(options.clock, options.silenceMs / 3);
  }

  /** Follows which clients other servers have, and says to them that this one is there. @returns what ends it */
  share(): () => Promise<void> {
    const { store, server } = this.#options;
    if (server === undefined || store?.watch === undefined) return () => Promise.resolve();
    const stop = store.watch({
      onClient: (client) => { this.#heardOf(client); },
      onServer: (other, isThere) => {
        if (other === server) return;
        if (!isThere) this.#servers.gone(other);
        if (isThere && !this.#servers.heard(other)) return;
        for (const client of [...this.#clients.values()]) if (client.server === other) this.#elsewhere(client, isThere);
      },
    });
    // Twice: the first time, nobody knows how long ago that was.
    void this.beat().then(() => this.beat());
    return async () => {
      await store.beat?.(server, false).catch(() => undefined);
      await stop();
    };
  }

  /** Says to the other servers that this one is there. What cannot be said now is said with the next call. */
  async beat(): Promise<void> {
    const { store, server } = this.#options;
    if (server !== undefined) await store?.beat?.(server, true).catch(() => undefined);
  }

  /**
   * Takes over the clients that another server has stored, and that are not known here: as offline, until they are heard. Whoever died
   * with that server is never asked for anything.
   *
   * @throws StorageError `STORE_UNREACHABLE`, which passes
   */
  async restore(): Promise<void> {
    for (const client of (await this.#options.store?.all()) ?? []) if (!this.#clients.has(client.clientId)) this.#clients.set(client.clientId, fromStore(client));
  }

  /** Resolves when the store has what is known here, or cannot be written to at the moment. */
  flush(): Promise<void> {
    return this.#writer?.flush() ?? Promise.resolve();
  }

  /** Every client that is known, by id. */
  all(): RegisteredClient[] {
    return [...this.#clients.values()].sort((a, b) => (a.clientId < b.clientId ? -1 : 1));
  }

  online(): RegisteredClient[] {
    return this.all().filter(isOnline);
  }

  get(clientId: string): RegisteredClient | undefined {
    return this.#clients.get(clientId);
  }

  /** @throws FederationError `CLIENT_ID_IN_USE` while another installation is at work under the id; `TOO_MANY_CLIENTS` */
  join(client: Omit<RegisteredClient, 'activity' | 'lastSeen' | 'bytesUp' | 'bytesDown'>): void {
    const { clientId, instance } = client;
    const before = this.#clients.get(clientId);
    if (before !== undefined && isOnline(before) && before.instance !== instance) throw idInUse(clientId);
    const { maxClients = 100_000 } = this.#options;
    if (before === undefined && this.#clients.size >= maxClients) {
      throw new FederationError('TOO_MANY_CLIENTS', `${maxClients} clients have joined already`, { hint: 'Try again later.' });
    }
    const { bytesUp = 0, bytesDown = 0 } = before ?? {};
    this.#clients.set(clientId, { ...client, activity: { state: 'idle' }, lastSeen: this.#options.clock.now(), bytesUp, bytesDown });
    this.#claim(clientId);
    this.#changed();
  }

  /**
   * Notes a sign of life.
   *
   * @param activity What the client does now; unchanged when absent.
   * @throws FederationError `NOT_JOINED` for a client that the server does not know; `CLIENT_ID_IN_USE`
   */
  seen({ clientId, instance }: ClientPrincipal, activity?: ClientActivity): RegisteredClient {
    const client = this.#clients.get(clientId);
    if (client === undefined || (client.instance !== instance && !isOnline(client))) {
      throw new FederationError('NOT_JOINED', `client ${clientId} has not joined this server`, { hint: 'Join again; the server may have restarted.' });
    }
    if (client.instance !== instance) throw idInUse(clientId);
    const wasOnline = isOnline(client);
    const time = this.#options.clock.now();
    const next = activity === undefined ? (wasOnline ? client.activity : { state: 'idle' as const }) : dated(activity, client.activity, time);
    const { server, ...own } = client;
    const now = { ...own, activity: next, lastSeen: time };
    this.#clients.set(clientId, now);
    // It has come from another server, or back.
    if (server !== undefined || (!wasOnline && this.#options.server !== undefined)) this.#claim(clientId);
    if (!wasOnline) this.#changed();
    return now;
  }

  /** Counts bytes that a client says it has sent and received. */
  transferred(clientId: string, up: number, down: number): void {
    const client = this.#clients.get(clientId);
    if (client === undefined) return;
    this.#clients.set(clientId, { ...client, bytesUp: client.bytesUp + up, bytesDown: client.bytesDown + down });
    if (client.server === undefined) this.#store(clientId);
  }

  /** Notes what a client says of the memory that it uses. */
  uses(clientId: string, resources: ClientResources): void {
    const client = this.#clients.get(clientId);
    if (client !== undefined) this.#clients.set(clientId, { ...client, resources });
  }

  /** The client says goodbye. */
  leave(principal: ClientPrincipal): void {
    const client = this.#clients.get(principal.clientId);
    if (client?.instance === principal.instance) this.#gone(client, { state: 'left' });
  }

  /** Marks as offline who has been silent too long, and forgets who has been away for a day. Called on a timer. */
  expire(): void {
    const { clock, silenceMs, forgetMs = DAY_MS } = this.#options;
    const now = clock.now();
    for (const client of [...this.#clients.values()]) {
      if (client.server !== undefined && isOnline(client)) {
        if (!this.#servers.isThere(client.server)) this.#elsewhere(client, false);
      } else if (isOnline(client) && now - client.lastSeen > silenceMs) this.#gone(client, { state: 'offline' });
      else if (!isOnline(client) && now - client.lastSeen > forgetMs) {
        this.#clients.delete(client.clientId);
        this.#options.onForgotten?.(client.clientId);
        this.#claims.delete(client.clientId);
        this.#writer?.remove(client.clientId);
      } else if (this.#options.server !== undefined && !this.#claims.has(client.clientId) && client.server === undefined && isOnline(client)) this.#claim(client.clientId);
    }
    void this.flush();
  }

  /** Calls back whenever somebody comes or goes. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when so many clients are online, or `signal` aborts. */
  joined(count: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.online().length < count && !signal.aborted) return;
        unsubscribe();
        signal.removeEventListener('abort', check);
        resolve();
      };
      const unsubscribe = this.subscribe(check);
      signal.addEventListener('abort', check, { once: true });
      check();
    });
  }

  /** Says to the other servers that a client is heard here, unless that was said a moment ago. */
  #claim(clientId: string): void {
    const [claimed, now] = [this.#claims.get(clientId), this.#options.clock.now()];
    if (this.#options.server !== undefined && claimed !== undefined && now - claimed < CLAIM_MS) {
      // It is said on the timer.
      this.#claims.delete(clientId);
      return;
    }
    this.#claims.set(clientId, now);
    this.#store(clientId);
  }

  #store(clientId: string): void {
    this.#writer?.put(toStore(this.#clients.get(clientId)!, this.#options.server));
  }

  /** Another server has stored a client. */
  #heardOf({ presence, ...client }: StoredClient): void {
    const { clientId, server } = client;
    if (server === undefined || server === this.#options.server) return;
    const known = this.#clients.get(clientId);
    if (presence !== 'here' && known !== undefined && known.server === undefined && isOnline(known)) {
      // It has moved here, which the other did not know.
      this.#store(clientId);
      return;
    }
    const now = { ...client, activity: known?.activity ?? { state: 'offline' as const } };
    this.#elsewhere(now, presence === 'here' && this.#servers.isThere(server), presence === 'left' ? 'left' : 'offline');
  }

  #elsewhere(client: RegisteredClient, isThere: boolean, away: 'left' | 'offline' = 'offline'): void {
    const activity: ClientActivity = isThere ? (isOnline(client) ? client.activity : { state: 'idle' }) : { state: away };
    const now = { ...client, activity, lastSeen: this.#options.clock.now() };
    this.#clients.set(client.clientId, now);
    if (activity.state !== client.activity.state || isThere) this.#options.onElsewhere?.(now);
    this.#changed();
  }

  #gone(client: RegisteredClient, activity: ClientActivity): void {
    if (!isOnline(client)) return;
    const gone = { ...client, activity };
    this.#clients.set(client.clientId, gone);
    this.#store(client.clientId);
    this.#options.onGone(gone);
    this.#changed();
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function idInUse(clientId: string): FederationError {
  return new FederationError('CLIENT_ID_IN_USE', `client id ${clientId} is at work from another installation`, {
    hint: 'Give each client an id of its own (--id).',
  });
}
