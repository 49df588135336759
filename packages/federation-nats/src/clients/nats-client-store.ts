import { jsonObjectSchema } from '@zk0/core';
import type { ClientStore, FederationLog, StoredClient } from '@zk0/federation';
import * as z from 'zod';
import type { Bucket } from '../nats/bucket.ts';
import { toToken } from '../nats/subject-token.ts';

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
});

/** Clients that have joined, in a key-value bucket, one key each. */
export class NatsClientStore implements ClientStore {
  readonly #bucket: Bucket;
  readonly #log: FederationLog;

  constructor(bucket: Bucket, log: FederationLog) {
    this.#bucket = bucket;
    this.#log = log;
  }

  async all(): Promise<readonly StoredClient[]> {
    return (await this.#bucket.all()).flatMap(({ key, value }) => {
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
}

function read(value: Uint8Array): StoredClient | null {
  try {
    return clientSchema.parse(JSON.parse(Buffer.from(value).toString()));
  } catch {
    return null;
  }
}
