import { runEventSchema } from '@zk0/core';
import * as z from 'zod';

const count = z.int().min(0);

/** What followers of a server see: what is recorded, and what is not worth recording. */
export const federationEventSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('run'), runId: z.string(), at: z.iso.datetime(), event: runEventSchema }),
  z.strictObject({
    kind: z.literal('client-progress'),
    runId: z.string(),
    clientId: z.string(),
    round: count,
    phase: z.string(),
    step: count,
    totalSteps: count,
    loss: z.number().optional(),
  }),
  z.strictObject({ kind: z.literal('server-progress'), runId: z.string(), phase: z.string(), step: count, totalSteps: count }),
  /** What a run waits for: clients that are not there, ones that cannot take part, a full disk. */
  z.strictObject({ kind: z.literal('waiting'), runId: z.string(), reason: z.string() }),
]);
export type FederationEvent = z.infer<typeof federationEventSchema>;
