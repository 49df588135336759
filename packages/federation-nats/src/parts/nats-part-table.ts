import { partEntrySchema, type Clock, type FederationLog, type PartEntry, type PartRow, type PartTable } from '@zk0/federation';
import type { Bucket } from '../nats/bucket.ts';
import { BucketWatch } from '../nats/bucket-watch.ts';

/** Parts of aggregations in a key-value bucket that every process watches: one key a part, changed by revision. */
export class NatsPartTable implements PartTable {
  readonly #bucket: Bucket;
  readonly #watch: BucketWatch;
  readonly #rows = new Map<string, PartRow>();

  constructor(bucket: Bucket, clock: Clock, log: FederationLog) {
    this.#bucket = bucket;
    this.#watch = new BucketWatch({
      bucket,
      what: 'parts of aggregations',
      log,
      onEntry: (key, value, revision) => {
        const entry = value === null ? null : read(value);
        // A watch that begins again tells what is known: nothing has been heard of the part since.
        if (entry === null) this.#rows.delete(key);
        else if (this.#rows.get(key)?.revision !== revision) this.#rows.set(key, { entry, revision, since: clock.now() });
      },
    });
  }

  rows(): ReadonlyMap<string, PartRow> {
    return this.#rows;
  }

  async replace(key: string, entry: PartEntry, revision: number | null): Promise<boolean> {
    const written = await this.#bucket.replace(key, entry, revision);
    // Another's change is on its way here; waiting for it keeps this process from trying the same again at once.
    if (written !== null) await this.#watch.reached(written);
    else if (revision !== null) await this.#watch.reached(revision + 1);
    return written !== null;
  }

  async remove(key: string): Promise<void> {
    if (!this.#rows.has(key)) return;
    await this.#bucket.remove(key);
    this.#rows.delete(key);
  }

  changed(signal: AbortSignal): Promise<void> {
    return this.#watch.changed(signal);
  }

  close(): Promise<void> {
    return this.#watch.close();
  }
}

/** `null` for what no release of this format wrote. */
function read(value: Uint8Array): PartEntry | null {
  try {
    return partEntrySchema.parse(JSON.parse(Buffer.from(value).toString()));
  } catch {
    return null;
  }
}
