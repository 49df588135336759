import { blobReferenceSchema, type BlobReference } from '@zk0/core';
import * as z from 'zod';

const holder = z.string().min(1).max(200);
const block = z.int().min(0);

/** A part of one pass of an aggregation, and how far it is. */
export const partEntrySchema = z.strictObject({
  /** Says what is computed. */
  plan: blobReferenceSchema,
  /** Its blocks, `to` exclusive. */
  from: block,
  to: block,
  /** Processes that could not compute it. */
  refused: z.array(holder).max(1000),
  state: z.discriminatedUnion('kind', [
    /** Nobody has it. */
    z.strictObject({ kind: z.literal('open') }),
    /** A process computes it; it is free again when nothing has been heard of that for a while. */
    z.strictObject({ kind: z.literal('taken'), holder }),
    /** Its bytes are that blob. */
    z.strictObject({ kind: z.literal('done'), result: blobReferenceSchema }),
  ]),
});
export type PartEntry = z.infer<typeof partEntrySchema>;

/** A part as a table has it. */
export interface PartRow {
  readonly entry: PartEntry;
  /** Changes with every change of it. */
  readonly revision: number;
  /** Since when it stands as it does, by this process's clock, in ms. */
  readonly since: number;
}

/**
 * Where the parts are that processes share out, by key. Every process sees the same rows, some a moment later than others; a change names
 * the revision that it was made for, so that one of several wins. {@link MemoryPartTable} serves one process, `@zk0/federation-nats` has
 * one for several. It holds nothing that could not be made anew.
 */
export interface PartTable {
  rows(): ReadonlyMap<string, PartRow>;
  /**
   * Writes a row if its revision is the one named, or with `null` if there is none; what {@link rows} gives then has at least that change.
   *
   * @returns whether it was written.
   * @throws StorageError `STORE_UNREACHABLE`, which passes
   */
  replace(key: string, entry: PartEntry, revision: number | null): Promise<boolean>;
  /** Removes a row; does nothing where there is none. @throws StorageError `STORE_UNREACHABLE`, which passes */
  remove(key: string): Promise<void>;
  /** Resolves at the next change, or when `signal` aborts. */
  changed(signal: AbortSignal): Promise<void>;
}

/** Names a part among all. */
export function partKey({ plan, from, to }: { readonly plan: BlobReference; readonly from: number; readonly to: number }): string {
  return `${plan.hash}.${from}-${to}`;
}
