import * as z from 'zod';
import { clientIdSchema } from './messages.ts';

const runId = z.string().min(1).max(300).optional();

/**
 * What an operator may change about a run that goes on. Without `runId` the run that is being driven is meant.
 *
 * `pause`: finish the round that is open, and begin no other; `resume`: go on. `exclude`: give a client no more work in this run, and do not
 * count what it sent in the open round; `readmit`: let it take part again, from the next round on.
 */
export const operatorChangeSchema = z.discriminatedUnion('change', [
  z.strictObject({ change: z.enum(['pause', 'resume']), runId }),
  z.strictObject({ change: z.enum(['exclude', 'readmit']), runId, clientId: clientIdSchema }),
]);
export type OperatorChange = z.infer<typeof operatorChangeSchema>;
