import { join } from 'node:path';
import { blobReferenceSchema, metricsSchema, secureKeysSchema, secureSharesSchema, secureUnmaskTaskSchema } from '@zk0/core';
import { makeDirectory, readJsonFile, StorageError, writeFileAtomic } from '@zk0/storage';
import * as z from 'zod';

const secret = z.base64().length(44);
const sharePair = z.strictObject({ seed: secret, key: secret });

/** What a client knows of the round that it takes part in. Every value but hashes and counts is secret until the round is over. */
const secureRoundSchema = z.strictObject({
  runId: z.string(),
  round: z.int(),
  /** Private keys, and the seed of the client's own mask. */
  secrets: z.strictObject({ encryption: secret, masking: secret, seed: secret }),
  /** What was dealt to the neighbours, and what of it the client kept. */
  dealt: z.strictObject({ needed: z.int(), neighbours: z.record(z.string(), secureKeysSchema), sealed: secureSharesSchema, own: sharePair }).exactOptional(),
  /** The shares of others that the client holds, and its own. */
  held: z.record(z.string(), sharePair).exactOptional(),
  /** The masked update, and what was said with it: it is sent again as it is. */
  sent: z.strictObject({ update: blobReferenceSchema, numExamples: z.int(), metrics: metricsSchema }).exactOptional(),
  /** Whose masks the server asked for first: no other question is answered. */
  asked: secureUnmaskTaskSchema.exactOptional(),
});
export type SecureRound = z.infer<typeof secureRoundSchema>;

const stateSchema = z.strictObject({
  version: z.literal(1),
  /** The newest round of each run that keys were made for: none of it is begun a second time. */
  begun: z.array(z.tuple([z.string(), z.int()])),
  current: secureRoundSchema.nullable(),
});
/** What a store holds. */
export type SecretState = z.infer<typeof stateSchema>;

/** Runs that are remembered; those that began first are forgotten first. */
const MAX_RUNS = 10_000;
const NOTHING: SecretState = { version: 1, begun: [], current: null };

/**
 * A client's secrets of the round with secure aggregation that is under way: one file under `directory`, which nobody else may read, replaced
 * whole and forced to disk before what follows from it is sent. So a client that is killed goes on with the same secrets, and cannot be brought to
 * answer a second, different question. The secrets of a round go when it is over, or the next one begins.
 */
export class SecretStore {
  readonly clientId: string;
  readonly #directory: string;
  readonly #path: string;

  constructor(directory: string, clientId: string) {
    this.clientId = clientId;
    this.#directory = directory;
    this.#path = join(directory, 'secure-round.json');
  }

  /**
   * What is kept.
   *
   * @throws StorageError for a file that cannot be read: nobody knows then what this client has answered already.
   */
  async read(): Promise<SecretState> {
    try {
      return await readJsonFile(this.#path, stateSchema);
    } catch (error) {
      if (error instanceof StorageError && error.code === 'FILE_NOT_FOUND') return NOTHING;
      throw error;
    }
  }

  /** Keeps the round in place of what was kept; a newer round is added to those that have begun. */
  async keep(round: SecureRound): Promise<void> {
    const { begun } = await this.read();
    const others = begun.filter(([runId]) => runId !== round.runId).slice(1 - MAX_RUNS);
    await this.#write({ version: 1, begun: [...others, [round.runId, round.round]], current: round });
  }

  /** Forgets the secrets of the round that is kept; that it has begun is remembered. */
  async forget(): Promise<void> {
    const state = await this.read();
    if (state.current !== null) await this.#write({ ...state, current: null });
  }

  async #write(state: SecretState): Promise<void> {
    makeDirectory(this.#directory);
    await writeFileAtomic(this.#path, JSON.stringify(state), { mode: 0o600 });
  }
}
