import { jsonObjectSchema } from '@zk0/core';
import type { ClientStore, ClientStoreListener, FederationLog, StoredClient } from '@zk0/federation';
import * as z from 'zod';
import type { Bucket } from '../nats/bucket.ts';
import { BucketWatch } from '../nats/bucket-watch.ts';
import { fromToken, toToken } from '../nats/subject-token.ts';

const count = z.number().min(0);
const clientSchema = z.strictObject({
  clientId: z.string(),
  instance: z.string(),
  name: z.string(),
  agent: z.string(),
  profile: jsonObjectSchema,
  label: z.string(),
  numExamples: count,
  lastSeen: count,
  bytesUp: count,
  bytesDown: count,
  server: z.string().optional(),
  presence: z.enum(['here', 'left', 'offline']).optional(),
});

/** Keys of servers; no client's key begins like it. */
const SERVER_PREFIX = '_server.';

/** Clients that have joined, in a key-value bucket, one key each. */
export class NatsClientStore implements ClientStore {
  readonly #bucket: Bucket;
  readonly #log: FederationLog;

  constructor(bucket: Bucket, log: FederationLog) {
    this.#bucket = bucket;
    this.#log = log;
  }

  async all(): Promise<readonly StoredClient[]> {
    return (await this.#bucket.all()).filter(({ key }) => !key.startsWith(SERVER_PREFIX)).flatMap(({ key, value }) => {
      const parsed = read(value);
      // Another release wrote it: the client joins again by itself.
      if (parsed === null) this.#log.warn(`the stored client ${key} cannot be read; it joins again`);
      return parsed === null ? [] : [parsed];
    });
  }

  async put(client: StoredClient): Promise<void> {
    await this.#bucket.put(toToken(client.clientId), client);
  }

  async remove(clientId: string): Promise<void> {
    await this.#bucket.remove(toToken(clientId));
  }

  watch({ onClient, onServer }: ClientStoreListener): () => Promise<void> {
    const revisions = new Map<string, number>();
    const watch = new BucketWatch({
      bucket: this.#bucket,
      what: 'clients',
      log: this.#log,
      onEntry: (key, value, revision) => {
        // A watch that begins again tells what is known.
        if (revisions.get(key) === revision) return;
        revisions.set(key, revision);
        if (key.startsWith(SERVER_PREFIX)) {
          onServer(fromToken(key.slice(SERVER_PREFIX.length)), value !== null);
          return;
        }
        const client = value === null ? null : read(value);
        if (client !== null) onClient(client);
      },
    });
    return () => watch.close();
  }

  async beat(server: string, isThere: boolean): Promise<void> {
    const key = `${SERVER_PREFIX}${toToken(server)}`;
    if (isThere) await this.#bucket.put(key, {});
    else await this.#bucket.remove(key);
  }
}

function read(value: Uint8Array): StoredClient | null {
  try {
    const { server, presence, ...client } = clientSchema.parse(JSON.parse(Buffer.from(value).toString()));
    return { ...client, ...(server !== undefined && { server }), ...(presence !== undefined && { presence }) };
  } catch {
    return null;
  }
}
