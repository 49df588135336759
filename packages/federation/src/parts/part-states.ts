import { blobReferenceSchema, type BlobReference } from '@zk0/core';
import * as z from 'zod';
import type { AggregationPart } from './part-queue.ts';

const holder = z.string().min(1).max(200);
const block = z.int().min(0);

/** A part and how far it is, as queues keep it. */
export const partEntrySchema = z.strictObject({
  plan: blobReferenceSchema,
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

/** Names a part among all. */
export function partKey({ plan, from, to }: AggregationPart): string {
  return `${plan.hash}.${from}-${to}`;
}

export function openPart({ plan, from, to }: AggregationPart): PartEntry {
  return { plan, from, to, refused: [], state: { kind: 'open' } };
}

/** Whether a process may take a part that has stood as it does for so long. */
export function mayTake({ refused, state }: PartEntry, by: string, standsMs: number, leaseMs: number): boolean {
  if (refused.includes(by)) return false;
  return state.kind === 'open' || (state.kind === 'taken' && (state.holder === by || standsMs >= leaseMs));
}

/** A part after its holder has said how it ended; `null` where it is another's by now. */
export function afterwards(entry: PartEntry, by: string, result: BlobReference | null): PartEntry | null {
  if (entry.state.kind !== 'taken' || entry.state.holder !== by) return null;
  return result === null ? { ...entry, refused: [...entry.refused, by], state: { kind: 'open' } } : { ...entry, state: { kind: 'done', result } };
}
