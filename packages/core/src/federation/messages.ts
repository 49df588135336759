import * as z from 'zod';
import { blobReferenceSchema } from '../run/events.ts';

/** What a client may say about itself when it joins, as JSON. */
export const MAX_PROFILE_BYTES = 64 * 1024;
/** Metrics of one result. */
export const MAX_METRICS = 256;
/** Longest text for people, in UTF-16 units. */
export const MAX_TEXT = 4000;
/** Largest magnitude of a metric. Sums and squares of 100 000 such values stay finite in float64. */
export const MAX_METRIC_VALUE = 1e30;

const id = z.string().min(1).max(300);
const text = z.string().max(MAX_TEXT);
const count = z.int().min(0);
const metricValue = z.number().min(-MAX_METRIC_VALUE).max(MAX_METRIC_VALUE);

/** Named figures that a client reports with its update. Every one is finite and bounded, so that means cannot overflow. */
export const metricsSchema = z
  .record(z.string().min(1).max(200), metricValue)
  .refine((map) => Object.keys(map).length <= MAX_METRICS, { message: `more than ${MAX_METRICS} metrics` });

/** Anything JSON can say; for parts of a message that the application defines. */
export const jsonObjectSchema = z.record(z.string(), z.json());
export type JsonObject = z.infer<typeof jsonObjectSchema>;

/** Client ids name files and appear in logs: letters, digits, dot, dash, underscore. */
export const clientIdSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);

/** A client introduces itself. Who it is, the connection says: a message never names its sender. */
export const joinMessageSchema = z.strictObject({
  /** For people to read. */
  name: z.string().max(200),
  /** Software and version. */
  agent: z.string().max(200),
  /** The application's: dataset summary, hash of the base model, device. */
  profile: jsonObjectSchema.refine((profile) => Buffer.byteLength(JSON.stringify(profile)) <= MAX_PROFILE_BYTES, {
    message: `profile is above ${MAX_PROFILE_BYTES} bytes`,
  }),
});
export type JoinMessage = z.infer<typeof joinMessageSchema>;

export const joinReplySchema = z.discriminatedUnion('accepted', [
  z.strictObject({ accepted: z.literal(true) }),
  z.strictObject({ accepted: z.literal(false), code: z.string().min(1).max(100), message: text, hint: text.optional() }),
]);
export type JoinReply = z.infer<typeof joinReplySchema>;

/** Work for one client. */
export const taskSchema = z.strictObject({
  taskId: id,
  runId: id,
  round: count,
  /** `secure-…`: a step of secure aggregation beside the training. */
  kind: z.enum(['fit', 'evaluate', 'secure-keys', 'secure-shares', 'secure-unmask']),
  /** Counts up when the same work is given out anew. */
  attempt: z.int().min(1),
  /** The parameters to start from. */
  parameters: blobReferenceSchema,
  /** The application's. */
  instructions: jsonObjectSchema,
  /** After this a result is late (ISO 8601, UTC). */
  deadline: z.iso.datetime().optional(),
});
export type Task = z.infer<typeof taskSchema>;

/** How far a client is with its task. */
export const taskProgressSchema = z.strictObject({
  taskId: id,
  phase: z.string().max(100),
  step: count,
  totalSteps: count,
  loss: metricValue.optional(),
});
export type TaskProgress = z.infer<typeof taskProgressSchema>;

/** A sign of life, whatever the client is doing; with a task in hand it says how far the client is. */
export const heartbeatMessageSchema = z.strictObject({ progress: taskProgressSchema.optional() });
export type HeartbeatMessage = z.infer<typeof heartbeatMessageSchema>;

export const heartbeatReplySchema = z.strictObject({
  /** `false`: the task that the heartbeat names is not wanted any more; the client drops it. */
  continue: z.boolean(),
  /** Why the server has no work for this client, where that is not a matter of waiting: its recordings do not fit the run. */
  notice: text.optional(),
});
export type HeartbeatReply = z.infer<typeof heartbeatReplySchema>;

/** How a task ended. (run, round, client, attempt) names it: a repeated result is recognised. */
export const taskResultSchema = z.strictObject({
  taskId: id,
  runId: id,
  round: count,
  attempt: z.int().min(1),
  outcome: z.discriminatedUnion('ok', [
    z.strictObject({
      ok: z.literal(true),
      /** The trained parameters, uploaded before; absent after an evaluation. */
      update: blobReferenceSchema.optional(),
      /** What a strategy asks for beside them: the change of SCAFFOLD's control variate, uploaded before. */
      control: blobReferenceSchema.optional(),
      /** What a step of secure aggregation came to. */
      answer: jsonObjectSchema.optional(),
      numExamples: count,
      metrics: metricsSchema,
    }),
    z.strictObject({ ok: z.literal(false), code: z.string().min(1).max(100), message: text }),
  ]),
});
export type TaskResult = z.infer<typeof taskResultSchema>;

export const resultReplySchema = z.strictObject({
  /**
   * `accepted`: it counts. `duplicate`: it was there already. `late`: the round went on without it.
   * `rejected`: it failed a check, `code` and `message` say which.
   */
  status: z.enum(['accepted', 'duplicate', 'late', 'rejected']),
  code: z.string().max(100).optional(),
  message: text.optional(),
});
export type ResultReply = z.infer<typeof resultReplySchema>;
