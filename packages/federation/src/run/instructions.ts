import { blobReferenceSchema, fitInstructionsSchema, jsonObjectSchema, secureFitSchema, secureSharesSchema, updateEncodingSchema, type RunState, type UpdateEncoding } from '@zk0/core';
import * as z from 'zod';

const HASH = /^[0-9a-f]{64}$/;

/** SCAFFOLD's part of a task, where the run's strategy corrects clients by control variates. */
const controlSchema = z.strictObject({
  /** The server's variate c: float32 tensors `control/<parameter>`; `null` while it is zero. */
  server: blobReferenceSchema.nullable(),
  /** Hash of the last change of this client's variate that counted, which names the variate after it; `null`: it is zero. */
  last: z.string().regex(HASH).nullable(),
});

/** The last update of a client that counted: its round and hash, which name what the client kept with it; `null`: none yet. */
const lastUpdateSchema = z.strictObject({ round: z.int().min(1), update: z.string().regex(HASH) }).nullable();

/** A task's part of an optimiser whose moments stay on the client, in a run with `clientOptimizer: keep`. */
const optimizerSchema = z.strictObject({
  /** Names the moments after it; `null`: they are zero. */
  last: lastUpdateSchema,
});

/** How an update is to be encoded, where that is not plain float32. */
const updateSchema = z.strictObject({
  encoding: updateEncodingSchema.exclude(['float32']),
  /** Names what its rounding left over; `null`: nothing is left over. */
  last: lastUpdateSchema,
});

/** How the task's parameters can be had, where clients need not fetch them whole. */
const broadcastSchema = z.strictObject({
  encoding: updateEncodingSchema.exclude(['float32']),
  /** What makes them of parameters that were published before; `null` in a run's first round. */
  step: z.strictObject({ from: blobReferenceSchema, encoded: blobReferenceSchema }).nullable(),
});

/** What the ledger keeps of one client's task: all but what holds for the whole run. */
export const assignmentSchema = z.strictObject({
  fit: fitInstructionsSchema,
  control: controlSchema.exactOptional(),
  /** Absent: the client's optimiser begins anew. */
  optimizer: optimizerSchema.exactOptional(),
  update: updateSchema.exactOptional(),
  broadcast: broadcastSchema.exactOptional(),
  /** The update is sent masked, as whole numbers that all clients of the round agree on. */
  masking: secureFitSchema.exactOptional(),
  /** The run promises differential privacy: the client reports what follows from its instructions, and nothing else. */
  private: z.boolean().exactOptional(),
  /** The application's own, for this client. */
  client: jsonObjectSchema.exactOptional(),
});
export type Assignment = z.infer<typeof assignmentSchema>;

/** The instructions of a `fit` task as they travel: the one contract between engine and participant, checked by both. */
export const fitTaskSchema = assignmentSchema.extend({
  context: jsonObjectSchema,
  /** With `masking`: the sealed shares of the neighbours that take part; the update is masked with each of them. */
  inbox: secureSharesSchema.exactOptional(),
});
export type FitTask = z.infer<typeof fitTaskSchema>;

/** The encoding that a client's update of the newest round was asked for in. */
export function askedEncoding({ rounds }: Pick<RunState, 'rounds'>, clientId: string): UpdateEncoding {
  return encodingIn(rounds.at(-1)?.participants.get(clientId)?.instructions ?? {});
}

/** The encoding that a task's instructions, as the ledger has them, ask for. */
export function encodingIn({ update }: Readonly<Record<string, unknown>>): UpdateEncoding {
  return update === undefined ? 'float32' : updateSchema.parse(update).encoding;
}
