import type { ClientPrincipal, ClientResources, JsonObject } from '@zk0/core';
import type { Clock } from '../clock.ts';
import { FederationError } from '../errors.ts';
import { silentLog, type FederationLog } from '../log.ts';
import type { ClientStore, StoredClient } from './client-store.ts';
import { ClientWriter } from './client-writer.ts';

/** What a client is doing, as far as the server knows. */
export type ClientActivity =
  /** Waits for work. */
  | { readonly state: 'idle' }
  /** Has taken a task; `phase` and steps are what it reported last. */
  | {
      readonly state: 'working';
      readonly round: number;
      readonly phase: string;
      readonly step: number;
      readonly totalSteps: number;
      readonly loss?: number;
      /** When this phase was first heard of, in milliseconds since the epoch: with the steps, how fast it goes. */
      readonly phaseSince?: number;
    }
  /** Said goodbye. */
  | { readonly state: 'left' }
  /** Was silent for too long. */
  | { readonly state: 'offline' };

/** What the application understood of a client's profile. */
export interface ClientDescription {
  /** Names what the client trains on, for people. */
  readonly label: string;
  /** Training examples that it declares: the weight of its updates is never above it. */
  readonly numExamples: number;
}

/** A client that has joined. */
export interface RegisteredClient extends ClientDescription {
  readonly clientId: string;
  readonly instance: string;
  readonly name: string;
  readonly agent: string;
  /** What it said of itself, checked by the application. */
  readonly profile: JsonObject;
  readonly activity: ClientActivity;
  /** Milliseconds since the epoch. */
  readonly lastSeen: number;
  /** What its accepted updates say of bytes sent and received, since it was first seen here. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** What it said last of the memory that it uses; known to the server that it talks to, and to no other. */
  readonly resources?: ClientResources;
}

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
  readonly log?: FederationLog;
  /** Called with every client that left or fell silent. */
  readonly onGone: (client: RegisteredClient) => void;
  /** Called with every client that is forgotten. */
  readonly onForgotten?: (clientId: string) => void;
}

const DAY_MS = 24 * 3600_000;

/** Who is there. A client is seen when it joins, polls, reports or sends a heartbeat; silence makes it offline. */
export class ClientRegistry {
  readonly #options: ClientRegistryOptions;
  readonly #clients = new Map<string, RegisteredClient>();
  readonly #listeners = new Set<() => void>();
  readonly #writer: ClientWriter | undefined;

  constructor(options: ClientRegistryOptions) {
    this.#options = options;
    this.#writer = options.store === undefined ? undefined : new ClientWriter(options.store, options.log ?? silentLog);
  }

  /**
   * Takes over the clients that another server has stored, and that are not known here: as offline, until they are heard. Whoever died
   * with that server is never asked for anything.
   *
   * @throws StorageError `STORE_UNREACHABLE`, which passes
   */
  async restore(): Promise<void> {
    for (const client of (await this.#options.store?.all()) ?? []) {
      if (!this.#clients.has(client.clientId)) this.#clients.set(client.clientId, { ...client, activity: { state: 'offline' } });
    }
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
    this.#store(clientId);
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
    const now = { ...client, activity: next, lastSeen: time };
    this.#clients.set(clientId, now);
    if (!wasOnline) this.#changed();
    return now;
  }

  /** Counts bytes that a client says it has sent and received. */
  transferred(clientId: string, up: number, down: number): void {
    const client = this.#clients.get(clientId);
    if (client === undefined) return;
    this.#clients.set(clientId, { ...client, bytesUp: client.bytesUp + up, bytesDown: client.bytesDown + down });
    this.#store(clientId);
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
      if (isOnline(client) && now - client.lastSeen > silenceMs) this.#gone(client, { state: 'offline' });
      else if (!isOnline(client) && now - client.lastSeen > forgetMs) {
        this.#clients.delete(client.clientId);
        this.#options.onForgotten?.(client.clientId);
        this.#writer?.remove(client.clientId);
      }
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

  #store(clientId: string): void {
    const stored: StoredClient & { activity?: unknown; resources?: unknown } = { ...this.#clients.get(clientId)! };
    delete stored.activity;
    delete stored.resources;
    this.#writer?.put(stored);
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

/** An activity with the time from which its phase goes on. */
function dated(activity: ClientActivity, before: ClientActivity, now: number): ClientActivity {
  if (activity.state !== 'working') return activity;
  const goesOn = before.state === 'working' && before.round === activity.round && before.phase === activity.phase && before.step <= activity.step;
  return { ...activity, phaseSince: (goesOn ? before.phaseSince : undefined) ?? now };
}

function isOnline({ activity }: RegisteredClient): boolean {
  return activity.state !== 'offline' && activity.state !== 'left';
}

function idInUse(clientId: string): FederationError {
  return new FederationError('CLIENT_ID_IN_USE', `client id ${clientId} is at work from another installation`, {
    hint: 'Give each client an id of its own (--id).',
  });
}
