import { taskSchema } from '@zk0/core';
import type { ClientTask, FederationLog } from '@zk0/federation';
import * as z from 'zod';
import type { Bucket } from '../nats/bucket.ts';
import { BucketWatch } from '../nats/bucket-watch.ts';
import { fromToken } from '../nats/subject-token.ts';

/** The key that says which tasks hold; no client's key begins like it. */
export const ROUND_KEY = '_round';
export const CLIENT_PREFIX = 'client.';

/** Which tasks hold now. */
export const roundSchema = z.strictObject({
  /** Tasks of this publication hold, others do not; `null`: none does. */
  publication: z.string().nullable(),
  /** Which process published them. */
  owner: z.string(),
  /** 0: no limit. */
  maxParallel: z.int().min(0),
  /** Clients whose tasks are out, where there is a limit. */
  out: z.array(z.string()),
});
export type Round = z.infer<typeof roundSchema>;

/** What a client's key holds. */
const taskEntrySchema = z.strictObject({ publication: z.string(), task: taskSchema.nullable() });
export type TaskEntry = z.infer<typeof taskEntrySchema>;

/** What this process knows of the tasks bucket, kept up to date by watching it. */
export class TaskView {
  readonly #tasks = new Map<string, TaskEntry>();
  readonly #waiters = new Map<string, Set<() => void>>();
  readonly #watch: BucketWatch;
  #round: { readonly value: Round; readonly revision: number } | null = null;
  /** Called when other tasks hold than before. */
  onRound: (round: Round) => void = () => undefined;

  constructor(bucket: Bucket, log: FederationLog) {
    this.#watch = new BucketWatch({ bucket, what: 'tasks', log, onEntry: (key, value, revision) => { this.#take(key, value, revision); } });
  }

  /** Which tasks hold, with the revision that a change of it names; `null` before the first. */
  get round(): { readonly value: Round; readonly revision: number } | null {
    return this.#round;
  }

  /** The client's task, if it holds. */
  task(clientId: string): ClientTask | null {
    const entry = this.#tasks.get(clientId);
    if (entry?.task == null || entry.publication !== this.#round?.value.publication) return null;
    return { clientId, task: entry.task };
  }

  /** Resolves at the next change that may concern a client, or when `signal` aborts. */
  change(clientId: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(clientId) ?? new Set();
      this.#waiters.set(clientId, waiters);
      const wake = (): void => {
        waiters.delete(wake);
        if (waiters.size === 0 && this.#waiters.get(clientId) === waiters) this.#waiters.delete(clientId);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      waiters.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  /** Resolves when this process has seen what was written as that revision. @throws StorageError `STORE_UNREACHABLE` */
  reached(revision: number): Promise<void> {
    return this.#watch.reached(revision);
  }

  close(): Promise<void> {
    return this.#watch.close();
  }

  #take(key: string, value: Uint8Array | null, revision: number): void {
    if (key === ROUND_KEY) {
      const round = value === null ? null : parsed(roundSchema, value);
      this.#round = round === null ? null : { value: round, revision };
      if (round !== null) this.onRound(round);
      // Only those who have something to take: thousands of idle clients sleep on.
      for (const clientId of [...this.#tasks.keys()]) if (this.task(clientId) !== null) this.#wake(clientId);
    } else if (key.startsWith(CLIENT_PREFIX)) {
      const clientId = fromToken(key.slice(CLIENT_PREFIX.length));
      const entry = value === null ? null : parsed(taskEntrySchema, value);
      if (entry === null) this.#tasks.delete(clientId);
      else this.#tasks.set(clientId, entry);
      this.#wake(clientId);
    }
  }

  #wake(clientId: string): void {
    for (const wake of [...(this.#waiters.get(clientId) ?? [])]) wake();
  }
}

/** `null` for what no release of this format wrote. */
function parsed<T>(schema: z.ZodType<T>, value: Uint8Array): T | null {
  try {
    return schema.parse(JSON.parse(Buffer.from(value).toString()));
  } catch {
    return null;
  }
}
