import { blobReferenceSchema, fitInstructionsSchema, jsonObjectSchema } from '@zk0/core';
import * as z from 'zod';

/** SCAFFOLD's part of a task, where the run's strategy corrects clients by control variates. */
const controlSchema = z.strictObject({
  /** The server's variate c: float32 tensors `control/<parameter>`; `null` while it is zero. */
  server: blobReferenceSchema.nullable(),
  /** Hash of the last change of this client's variate that counted, which names the variate after it; `null`: it is zero. */
  last: z.string().regex(/^[0-9a-f]{64}$/).nullable(),
});

/** What the ledger keeps of one client's task: all but what holds for the whole run. */
export const assignmentSchema = z.strictObject({
  fit: fitInstructionsSchema,
  control: controlSchema.exactOptional(),
  /** The run promises differential privacy: the client reports what follows from its instructions, and nothing else. */
  private: z.boolean().exactOptional(),
  /** The application's own, for this client. */
  client: jsonObjectSchema.exactOptional(),
});
export type Assignment = z.infer<typeof assignmentSchema>;

/** The instructions of a `fit` task as they travel: the one contract between engine and participant, checked by both. */
export const fitTaskSchema = assignmentSchema.extend({ context: jsonObjectSchema });
export type FitTask = z.infer<typeof fitTaskSchema>;
