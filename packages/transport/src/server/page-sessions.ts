import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** How long an operator stays logged in, in ms. */
export const SESSION_MS = 12 * 3600_000;
/** Sessions that were ended before their time and are remembered one by one. */
const MAX_ENDED = 1000;

/** Somebody who logged in. */
export interface PageSession {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** Aborts when the session is ended by its owner. */
  readonly ended: AbortSignal;
}

/**
 * Sessions of operators in browsers. A session is a text that this server has signed with a key made from the operators' token: it is
 * good after a restart of the server, worth nothing once the token is another one, and takes no room while nobody uses it.
 */
export class PageSessions {
  readonly #key: Buffer;
  readonly #now: () => number;
  readonly #ended = new Map<string, number>();
  readonly #open = new Map<string, AbortController>();
  #notBefore = 0;

  constructor(operatorToken: string, now: () => number) {
    this.#key = createHash('sha256').update(`zk0 operator page\0${operatorToken}`).digest();
    this.#now = now;
  }

  /** The text that a new session is known by. */
  create(): string {
    const claim = `${this.#now() + SESSION_MS}.${randomBytes(18).toString('base64url')}`;
    return `${claim}.${this.#sign(claim)}`;
  }

  /** The session of a text; `undefined` when it is none of this server's, has expired, or was ended. */
  find(text: string): PageSession | undefined {
    const [, expiry, id, signature] = /^(\d{1,15})\.([\w-]{24})\.([\w-]{43})$/.exec(text) ?? [];
    if (expiry === undefined || id === undefined || signature === undefined) return undefined;
    if (!timingSafeEqual(Buffer.from(this.#sign(`${expiry}.${id}`)), Buffer.from(signature))) return undefined;
    const expiresAt = Number(expiry);
    const now = this.#now();
    if (expiresAt <= now || expiresAt > now + SESSION_MS || expiresAt - SESSION_MS < this.#notBefore || this.#ended.has(id)) return undefined;
    return { id, expiresAt, ended: this.#controller(id).signal };
  }

  /** Ends a session, and what it has open. */
  end({ id, expiresAt }: PageSession): void {
    this.#open.get(id)?.abort();
    this.#open.delete(id);
    const now = this.#now();
    for (const [ended, until] of this.#ended) if (until <= now) this.#ended.delete(ended);
    if (this.#ended.size >= MAX_ENDED) {
      // More than can be remembered one by one: everybody logs in again.
      this.#ended.clear();
      this.#notBefore = now;
      for (const controller of this.#open.values()) controller.abort();
      this.#open.clear();
    }
    this.#ended.set(id, expiresAt);
  }

  #controller(id: string): AbortController {
    let controller = this.#open.get(id);
    if (controller === undefined) {
      if (this.#open.size >= MAX_ENDED) this.#open.delete(this.#open.keys().next().value!);
      controller = new AbortController();
      this.#open.set(id, controller);
    }
    return controller;
  }

  #sign(claim: string): string {
    return createHmac('sha256', this.#key).update(claim).digest('base64url');
  }
}
