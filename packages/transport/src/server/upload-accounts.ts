import type { BlobReference } from '@zk0/core';
import { TransportError } from '../errors.ts';

/** An announcement that nobody continued for so long does not count any more, in ms. */
const IDLE_MS = 10 * 60_000;

/** How much of the server one client may hold. */
export interface UploadLimits {
  /** Bodies received at once, of all clients. */
  readonly maxUploads: number;
  /** Bodies received at once of one client. */
  readonly maxClientUploads: number;
  /** Uploads that one client has announced and not finished. */
  readonly maxClientAnnouncements: number;
  /** Bytes of these announcements together. */
  readonly maxClientBytes: number;
}

interface Account {
  receiving: number;
  readonly announced: Map<string, { readonly bytes: number; touched: number }>;
}

/**
 * Counts what each client has announced and sends, so that one of them cannot take what is there for all: an announcement costs its
 * sender nothing, and a body may be sent as slowly as the server bears.
 */
export class UploadAccounts {
  readonly #limits: UploadLimits;
  readonly #now: () => number;
  readonly #accounts = new Map<string, Account>();
  #receiving = 0;

  /** @param now - milliseconds of a clock that never goes back */
  constructor(limits: UploadLimits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Clients that have announced or send something. */
  get clients(): number {
    return this.#accounts.size;
  }

  /** Counts an upload, once however often it is announced. @throws TransportError `BUSY` */
  announce(clientId: string, { hash, byteLength }: BlobReference): void {
    const now = this.#now();
    this.#forgetIdle(now);
    const { maxClientAnnouncements, maxClientBytes } = this.#limits;
    const announced = this.#accounts.get(clientId)?.announced;
    const key = `${hash}-${byteLength}`;
    const known = announced?.get(key);
    if (known !== undefined) {
      known.touched = now;
      return;
    }
    let bytes = byteLength;
    for (const other of announced?.values() ?? []) bytes += other.bytes;
    if ((announced?.size ?? 0) >= maxClientAnnouncements || bytes > maxClientBytes) {
      throw new TransportError(
        'BUSY',
        `client ${clientId} may have ${maxClientAnnouncements} uploads of ${maxClientBytes} bytes under way; finish one first`,
      );
    }
    this.#account(clientId).announced.set(key, { bytes: byteLength, touched: now });
  }

  /** The upload is complete, or given up. */
  settle(clientId: string, { hash, byteLength }: BlobReference): void {
    this.#accounts.get(clientId)?.announced.delete(`${hash}-${byteLength}`);
    this.#tidy(clientId);
  }

  /**
   * Counts a body that is being received.
   *
   * @returns what ends it
   * @throws TransportError `BUSY`
   */
  receive(clientId: string): () => void {
    const { maxUploads, maxClientUploads } = this.#limits;
    if (this.#receiving >= maxUploads) throw new TransportError('BUSY', `${maxUploads} uploads are under way already`);
    const receiving = this.#accounts.get(clientId)?.receiving ?? 0;
    if (receiving >= maxClientUploads) {
      throw new TransportError('BUSY', `client ${clientId} sends ${maxClientUploads} uploads already`);
    }
    this.#account(clientId).receiving++;
    this.#receiving++;
    return () => {
      this.#account(clientId).receiving--;
      this.#receiving--;
      this.#tidy(clientId);
    };
  }

  #account(clientId: string): Account {
    const known = this.#accounts.get(clientId);
    if (known !== undefined) return known;
    const account: Account = { receiving: 0, announced: new Map() };
    this.#accounts.set(clientId, account);
    return account;
  }

  #forgetIdle(now: number): void {
    for (const [clientId, account] of this.#accounts) {
      if (account.receiving > 0) continue;
      for (const [key, { touched }] of account.announced) if (now - touched > IDLE_MS) account.announced.delete(key);
      this.#tidy(clientId);
    }
  }

  #tidy(clientId: string): void {
    const account = this.#accounts.get(clientId);
    if (account?.receiving === 0 && account.announced.size === 0) this.#accounts.delete(clientId);
  }
}
