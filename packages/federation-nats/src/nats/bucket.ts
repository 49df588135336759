import { Kvm, type KV, type KvEntry, type KvOptions } from '@nats-io/kv';
import { isConflict } from './nats-error.ts';
import type { NatsLink } from './connection.ts';

/** A key-value bucket of a federation. Its reads go to the leader; but for the nodes, what it holds can be made anew. */
export class Bucket {
  readonly #link: NatsLink;
  readonly kv: KV;

  private constructor(link: NatsLink, kv: KV) {
    this.#link = link;
    this.kv = kv;
  }

  /**
   * Finds the bucket, or makes it.
   *
   * @param kept how it keeps what it holds: durably and for good, unless given.
   * @throws what `natsError` gives
   */
  static async open(link: NatsLink, what: 'leases' | 'clients' | 'tasks' | 'parts' | 'nodes' | 'nonces', kept: Pick<Partial<KvOptions>, 'ttl' | 'storage'> = {}): Promise<Bucket> {
    const { federation, replicas } = link.address;
    const name = `zk0-${federation}-${what}`;
    const kv = await link.attempt(() => new Kvm(link.js).create(name, { history: 1, replicas, allow_direct: false, description: `The ${what} of a zk0 federation${what === 'nodes' ? '; back it up.' : '; made anew where it is missing.'}`, ...kept }));
    return new Bucket(link, kv);
  }

  /** What a key holds; `null` for nothing. */
  async get(key: string): Promise<KvEntry | null> {
    const entry = await this.#link.attempt(() => this.kv.get(key));
    return entry?.operation === 'PUT' ? entry : null;
  }

  /** Writes whatever is there. @returns the revision */
  put(key: string, value: unknown): Promise<number> {
    return this.#link.attempt(() => this.kv.put(key, JSON.stringify(value)));
  }

  /** Writes if the key's revision is the one named, or, with `null`, if it holds nothing. @returns the revision; `null` when it is another */
  replace(key: string, value: unknown, revision: number | null): Promise<number | null> {
    return this.replaceText(key, JSON.stringify(value), revision);
  }

  /** The same for text as it is. */
  async replaceText(key: string, text: string, revision: number | null): Promise<number | null> {
    try {
      return await this.#link.attempt(() => (revision === null ? this.kv.create(key, text) : this.kv.update(key, text, revision)));
    } catch (error) {
      if (isConflict(error)) return null;
      throw error;
    }
  }

  /** Removes a key if its revision is the one named. */
  async removeRevision(key: string, revision: number): Promise<void> {
    try {
      await this.#link.attempt(() => this.kv.delete(key, { previousSeq: revision }));
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  }

  /** Removes a key and what it held. */
  async remove(key: string): Promise<void> {
    await this.#link.attempt(() => this.kv.purge(key));
  }

  /** Everything that it holds. */
  all(): Promise<readonly KvEntry[]> {
    return this.#link.attempt(async () => {
      const found: KvEntry[] = [];
      for await (const entry of await this.kv.history()) if (entry.operation === 'PUT') found.push(entry);
      return found;
    });
  }
}
