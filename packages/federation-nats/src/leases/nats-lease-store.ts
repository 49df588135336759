import type { Clock, Lease, LeaseStore } from '@zk0/federation';
import * as z from 'zod';
import type { Bucket } from '../nats/bucket.ts';
import { toToken } from '../nats/subject-token.ts';

const leaseSchema = z.object({ holder: z.string(), ttlMs: z.number().positive() });

/**
 * Leases in a key-value bucket, taken and renewed by revision. No two clocks are compared: a lease has expired for a process that has
 * looked at it, and has seen the same revision for as long as it was given. A process that has just started waits that long once.
 */
export class NatsLeaseStore implements LeaseStore {
  readonly #bucket: Bucket;
  readonly #clock: Clock;
  /** Since when, by this process's clock, each lease has stood as it does. */
  readonly #seen = new Map<string, { readonly revision: number; readonly since: number }>();

  constructor(bucket: Bucket, clock: Clock) {
    this.#bucket = bucket;
    this.#clock = clock;
  }

  async acquire(name: string, holder: string, ttlMs: number): Promise<Lease | null> {
    const key = toToken(name);
    // The second time, because what was faster may have been this holder itself, whose answer was lost.
    for (let attempt = 0; attempt < 2; attempt++) {
      const entry = await this.#bucket.get(key);
      const now = this.#clock.now();
      if (entry !== null && !this.#mayTake(name, holder, entry, now)) return null;
      const revision = await this.#bucket.replace(key, { holder, ttlMs }, entry?.revision ?? null);
      if (revision === null) continue;
      this.#seen.set(name, { revision, since: now });
      return { name, holder, expiresAt: now + ttlMs };
    }
    return null;
  }

  async release(name: string, holder: string): Promise<void> {
    const entry = await this.#bucket.get(toToken(name));
    if (entry === null || leaseOf(entry.value)?.holder !== holder) return;
    await this.#bucket.removeRevision(toToken(name), entry.revision);
  }

  #mayTake(name: string, holder: string, { revision, value }: { readonly revision: number; readonly value: Uint8Array }, now: number): boolean {
    const lease = leaseOf(value);
    // What no release wrote binds nobody.
    if (lease === null || lease.holder === holder) return true;
    const seen = this.#seen.get(name);
    if (seen?.revision !== revision) {
      this.#seen.set(name, { revision, since: now });
      return false;
    }
    return now - seen.since >= lease.ttlMs;
  }
}

function leaseOf(value: Uint8Array): z.infer<typeof leaseSchema> | null {
  try {
    return leaseSchema.parse(JSON.parse(Buffer.from(value).toString()));
  } catch {
    return null;
  }
}
