import type { ClientProfile } from '@zk0/core';

/** What a client is doing, as far as the server knows. */
export type ClientActivity =
  /** Polls for work. */
  | { readonly state: 'idle' }
  /** Has taken a task; `phase` and steps are what it reported last. */
  | {
      readonly state: 'working';
      readonly round: number;
      readonly phase: string;
      readonly step: number;
      readonly totalSteps: number;
      readonly loss?: number;
    }
  /** Said goodbye, or was silent for too long. */
  | { readonly state: 'offline' };

/** A client that has joined. */
export interface RegisteredClient {
  readonly clientId: string;
  readonly name: string;
  readonly agent: string;
  readonly profile: ClientProfile;
  activity: ClientActivity;
  lastSeen: number;
}

/** Who is there. A client is seen when it joins, polls or reports; silence makes it offline. */
export class ClientRegistry {
  readonly #clients = new Map<string, RegisteredClient>();
  readonly #silenceMs: number;
  readonly #onOffline: (clientId: string) => void;
  readonly #listeners = new Set<() => void>();

  constructor(options: { readonly silenceMs: number; readonly onOffline: (clientId: string) => void }) {
    this.#silenceMs = options.silenceMs;
    this.#onOffline = options.onOffline;
  }

  /** Every client that ever joined, by id. */
  all(): RegisteredClient[] {
    return [...this.#clients.values()].sort((a, b) => (a.clientId < b.clientId ? -1 : 1));
  }

  online(): RegisteredClient[] {
    return this.all().filter(({ activity }) => activity.state !== 'offline');
  }

  get(clientId: string): RegisteredClient | undefined {
    return this.#clients.get(clientId);
  }

  join(client: Pick<RegisteredClient, 'clientId' | 'name' | 'agent' | 'profile'>): void {
    this.#clients.set(client.clientId, { ...client, activity: { state: 'idle' }, lastSeen: Date.now() });
    this.#changed();
  }

  /** Notes a sign of life; `false` when the client never joined (a restarted server has forgotten it). */
  seen(clientId: string, activity?: ClientActivity): boolean {
    const client = this.#clients.get(clientId);
    if (client === undefined) return false;
    client.lastSeen = Date.now();
    const wasOffline = client.activity.state === 'offline';
    if (activity !== undefined) client.activity = activity;
    else if (wasOffline) client.activity = { state: 'idle' };
    if (wasOffline) this.#changed();
    return true;
  }

  leave(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client === undefined || client.activity.state === 'offline') return;
    client.activity = { state: 'offline' };
    this.#onOffline(clientId);
    this.#changed();
  }

  /** Marks as offline whoever has been silent too long. Called on a timer. */
  expire(now = Date.now()): void {
    for (const client of this.#clients.values()) {
      if (client.activity.state !== 'offline' && now - client.lastSeen > this.#silenceMs) this.leave(client.clientId);
    }
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

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
