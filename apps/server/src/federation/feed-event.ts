import { runEventSchema } from '@zk0/core';
import * as z from 'zod';

const count = z.int().min(0);

/** What followers of a server see: what is journaled, and progress that is not. */
export const feedEventSchema = z.discriminatedUnion('kind', [
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
  z.strictObject({
    kind: z.literal('server-progress'),
    runId: z.string(),
    phase: z.string(),
    step: count,
    totalSteps: count,
  }),
]);
export type FeedEvent = z.infer<typeof feedEventSchema>;
