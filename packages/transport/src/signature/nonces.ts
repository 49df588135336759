import { createHash } from 'node:crypto';

/** Nonces are forgotten together, so many ms at a time. */
const SLOT_MS = 60_000;

/** Bounds of {@link NonceMemory}. */
export interface NonceLimits {
  /** Requests of one key whose signatures were made in the same minute (6000). */
  readonly maxPerKeyAndMinute?: number;
  /** Nonces over all keys (1 000 000: about 100 MB). */
  readonly maxTotal?: number;
}

interface Slot {
  readonly seen: Set<string>;
  readonly perKey: Map<string, number>;
}

/** Remembers which signatures have been used, for as long as they would be taken: a repeated request is known by its nonce. */
export class NonceMemory {
  readonly #lifetimeMs: number;
  readonly #maxPerKey: number;
  readonly #maxTotal: number;
  readonly #slots = new Map<number, Slot>();
  #total = 0;

  /** @param lifetimeMs - a signature is refused when it was created longer ago than this. */
  constructor(lifetimeMs: number, { maxPerKeyAndMinute = 6000, maxTotal = 1_000_000 }: NonceLimits = {}) {
    this.#lifetimeMs = lifetimeMs;
    this.#maxPerKey = maxPerKeyAndMinute;
    this.#maxTotal = maxTotal;
  }

  /** Nonces that are remembered now. */
  get size(): number {
    return this.#total;
  }

  /**
   * Takes a nonce.
   *
   * @param createdAt - when the signature was made, and `now`, both in ms since 1970.
   * @returns `used` when it was taken before, `full` when it cannot be remembered: both are to be refused.
   */
  take(keyId: string, nonce: string, createdAt: number, now: number): 'new' | 'used' | 'full' {
    this.#forget(now);
    const index = Math.floor(createdAt / SLOT_MS);
    const slot = this.#slots.get(index) ?? { seen: new Set<string>(), perKey: new Map<string, number>() };
    // 96 bits of a hash: short, and of one length whatever the sender chose.
    const entry = createHash('sha256').update(`${keyId} ${nonce}`).digest('binary').slice(0, 12);
    if (slot.seen.has(entry)) return 'used';
    const count = slot.perKey.get(keyId) ?? 0;
    if (count >= this.#maxPerKey || this.#total >= this.#maxTotal) return 'full';
    slot.seen.add(entry);
    slot.perKey.set(keyId, count + 1);
    this.#slots.set(index, slot);
    this.#total++;
    return 'new';
  }

  #forget(now: number): void {
    for (const [index, { seen }] of this.#slots) {
      if ((index + 1) * SLOT_MS + this.#lifetimeMs > now) continue;
      this.#slots.delete(index);
      this.#total -= seen.size;
    }
  }
}
