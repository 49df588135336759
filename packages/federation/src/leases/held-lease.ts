import { pause, type Clock } from '../clock.ts';
import type { FederationLog } from '../log.ts';
import type { LeaseStore } from './lease-store.ts';

const LEASE_MS = 15_000;

/** One named lease that this process takes, keeps and gives back. */
export class HeldLease {
  readonly #store: LeaseStore;
  readonly #name: string;
  readonly #holder: string;
  readonly #clock: Clock;
  readonly #log: FederationLog;

  constructor(options: { readonly store: LeaseStore; readonly name: string; readonly holder: string; readonly clock: Clock; readonly log: FederationLog }) {
    this.#store = options.store;
    this.#name = options.name;
    this.#holder = options.holder;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** How often to ask for a lease that somebody else has, and to renew one's own, in ms. */
  get intervalMs(): number {
    return LEASE_MS / 3;
  }

  /** Whether this process has the lease now; it is renewed by asking. */
  async acquire(): Promise<boolean> {
    return (await this.#store.acquire(this.#name, this.#holder, LEASE_MS)) !== null;
  }

  /** Renews the lease until `signal` aborts; `lost` aborts when another process has it. */
  keep(signal: AbortSignal): { readonly lost: AbortSignal; readonly ended: Promise<void> } {
    const lost = new AbortController();
    const renew = async (): Promise<void> => {
      while (await pause(this.#clock, this.intervalMs, signal)) {
        // A store that cannot answer now is asked again: whoever takes over is kept out by the ledger's compare-and-set.
        if (await this.acquire().catch(() => true)) continue;
        this.#log.error('another server drives the runs now; this one waits');
        lost.abort();
        return;
      }
    };
    return { lost: lost.signal, ended: renew() };
  }

  async release(): Promise<void> {
    await this.#store.release(this.#name, this.#holder);
  }
}
