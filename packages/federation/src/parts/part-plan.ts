import { blobReferenceSchema, type BlobReference } from '@zk0/core';
import { PART_VERSION, type PassSums } from '@zk0/strategy';
import * as z from 'zod';
import type { EngineBlobs } from '../blobs/engine-blobs.ts';
import { FederationError } from '../errors.ts';
import { readBlob } from './read-blob.ts';

/** The longest plan that is read, in bytes: some 100 for each client. */
const MAX_PLAN_BYTES = 16 * 2 ** 20;
/** The most sums of an earlier pass that are read, in bytes. */
export const MAX_SUMS_BYTES = 64 * 2 ** 20;

const count = z.int().min(0);

/** What the parts of one pass of an aggregation have in common. The run's history says the rest. */
const partPlanSchema = z.strictObject({
  version: z.int(),
  runId: z.string(),
  /** Entries of the run's history that the aggregation follows from. */
  position: z.int().min(1),
  /** Which pass, from 0. */
  pass: count,
  /** How many sums each of its blocks leaves. */
  sumsPerBlock: count,
  /** Clients whose updates cannot be used, because they are damaged. */
  damaged: z.array(z.string()),
  /** What reading updates has shown already, by client. */
  norms: z.record(z.string(), z.number()),
  /** What the passes before it left: so many blocks, and their sums as little-endian float64 values. */
  earlier: z.array(z.strictObject({ blocks: count, sums: blobReferenceSchema.nullable() })),
});
export type PartPlan = z.infer<typeof partPlanSchema>;

/** Stores a plan, under the same name wherever it is made. */
export function putPlan(blobs: Pick<EngineBlobs, 'put'>, plan: Omit<PartPlan, 'version'>): Promise<BlobReference> {
  return blobs.put(new TextEncoder().encode(JSON.stringify(partPlanSchema.parse({ version: PART_VERSION, ...plan }))));
}

/** @throws FederationError `PART_UNREADABLE` for a plan of another version, or none at all; what the store throws */
export async function readPlan(blobs: EngineBlobs, reference: BlobReference): Promise<PartPlan> {
  const bytes = await readBlob(blobs, reference, MAX_PLAN_BYTES);
  let plan: unknown;
  try {
    plan = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw unreadable(reference, 'it is no JSON', cause);
  }
  const version = (plan as { version?: unknown } | null)?.version;
  if (version !== PART_VERSION) throw unreadable(reference, `its version is ${String(version)}, and this release computes ${PART_VERSION}`);
  const parsed = partPlanSchema.safeParse(plan);
  if (!parsed.success) throw unreadable(reference, `${parsed.error.issues[0]?.path.join('.') ?? ''} does not fit`);
  return parsed.data;
}

/** Stores the sums of a pass. */
export async function putSums(blobs: Pick<EngineBlobs, 'put'>, { blocks, sums }: PassSums): Promise<PartPlan['earlier'][number]> {
  return { blocks, sums: sums.length === 0 ? null : await blobs.put(new Uint8Array(sums.slice().buffer)) };
}

export async function readSums(blobs: EngineBlobs, { blocks, sums }: PartPlan['earlier'][number]): Promise<PassSums> {
  if (sums === null) return { blocks, sums: new Float64Array() };
  const bytes = await readBlob(blobs, sums, MAX_SUMS_BYTES);
  return { blocks, sums: new Float64Array(bytes.slice().buffer) };
}

function unreadable({ hash }: BlobReference, why: string, cause?: unknown): FederationError {
  return new FederationError('PART_UNREADABLE', `plan ${hash} of an aggregation: ${why}`, { cause, hint: 'Run the same zk0 release on all servers.' });
}
