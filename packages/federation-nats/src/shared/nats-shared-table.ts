import type { SharedNames, SharedRow, SharedTable } from '@zk0/storage';
import type { KvEntry } from '@nats-io/kv';
import type { Bucket } from '../nats/bucket.ts';

/** Rows of several servers in a key-value bucket. Reads go to the stream's leader. */
export class NatsSharedTable implements SharedTable {
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  async get(key: string): Promise<SharedRow | null> {
    const entry = await this.#bucket.get(key);
    return entry === null ? null : rowOf(entry);
  }

  async list(prefix: string): Promise<readonly SharedRow[]> {
    return (await this.#bucket.all()).map(rowOf).filter(({ key }) => key.startsWith(prefix));
  }

  async replace(key: string, value: string, revision: number | null): Promise<boolean> {
    return (await this.#bucket.replaceText(key, value, revision)) !== null;
  }

  remove(key: string): Promise<void> {
    return this.#bucket.remove(key);
  }
}

/** Names that are taken once, in a bucket that forgets them after a time. */
export class NatsSharedNames implements SharedNames {
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  async take(name: string): Promise<boolean> {
    return (await this.#bucket.replaceText(name, '', null)) !== null;
  }
}

function rowOf({ key, value, revision }: KvEntry): SharedRow {
  return { key, value: Buffer.from(value).toString(), revision };
}
