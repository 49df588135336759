import { blobReferenceSchema } from '@zk0/core';
import * as z from 'zod';

/** Versions of the message format this release can read. */
export const PROTOCOL_VERSION = 1;
export const SUPPORTED_VERSIONS = { min: 1, max: 1 } as const;

/** Control messages are a few kB; tensors are never inside. */
export const MAX_MESSAGE_BYTES = 256 * 1024;
/** What a client may say about itself when it joins, as JSON. */
export const MAX_PROFILE_BYTES = 64 * 1024;
const MAX_METRICS = 256;
/** Longest text for people. */
export const MAX_TEXT = 4000;

const id = z.string().min(1).max(300);
const text = z.string().max(MAX_TEXT);
const count = z.int().min(0);
const metrics = z.record(z.string().min(1).max(200), z.number()).refine((map) => Object.keys(map).length <= MAX_METRICS, {
  message: `more than ${MAX_METRICS} metrics`,
});

/** Anything JSON can say; for parts of a message that the application defines. */
export const jsonObjectSchema = z.record(z.string(), z.json());
export type JsonObject = z.infer<typeof jsonObjectSchema>;

/** Client ids name files and appear in logs: letters, digits, dot, dash, underscore. */
export const clientIdSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);

/** A client introduces itself. */
export const joinMessageSchema = z.strictObject({
  clientId: clientIdSchema,
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
  kind: z.enum(['fit', 'evaluate']),
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

export const progressMessageSchema = z.strictObject({
  clientId: clientIdSchema,
  taskId: id,
  phase: z.string().max(100),
  step: count,
  totalSteps: count,
  loss: z.number().optional(),
});
/** Where a client's task stands; also a sign of life. */
export type ProgressMessage = z.infer<typeof progressMessageSchema>;

export const progressReplySchema = z.strictObject({
  /** `false`: nobody waits for this task any more, drop it. */
  continue: z.boolean(),
});
export type ProgressReply = z.infer<typeof progressReplySchema>;

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
      /**
       * What a strategy asks for beside them: the change of SCAFFOLD's control variate, uploaded before. A server that did not ask does
       * not get it, so releases without it understand each other.
       */
      control: blobReferenceSchema.optional(),
      numExamples: count,
      metrics,
    }),
    z.strictObject({ ok: z.literal(false), code: z.string().min(1).max(100), message: text }),
  ]),
});
export type TaskResult = z.infer<typeof taskResultSchema>;
export const resultMessageSchema = taskResultSchema.extend({ clientId: clientIdSchema });
/** A {@link TaskResult} with its sender. */
export type ResultMessage = z.infer<typeof resultMessageSchema>;

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

const clientOnly = z.strictObject({ clientId: clientIdSchema });

/** What clients send, by type. */
export interface RequestBodies {
  readonly join: JoinMessage;
  readonly poll: z.infer<typeof clientOnly>;
  readonly progress: ProgressMessage;
  readonly result: ResultMessage;
  readonly leave: z.infer<typeof clientOnly>;
}
export type RequestType = keyof RequestBodies;

/** What the server answers, by the type of the request. A poll without a task in time is answered with `null`. */
export interface ReplyBodies {
  readonly join: JoinReply;
  readonly poll: { readonly task: Task | null };
  readonly progress: ProgressReply;
  readonly result: ResultReply;
  readonly leave: Readonly<Record<string, never>>;
}

export const REQUEST_SCHEMAS: { readonly [T in RequestType]: z.ZodType<RequestBodies[T]> } = {
  join: joinMessageSchema,
  poll: clientOnly,
  progress: progressMessageSchema,
  result: resultMessageSchema,
  leave: clientOnly,
};
export const REPLY_SCHEMAS: { readonly [T in RequestType]: z.ZodType<ReplyBodies[T]> } = {
  join: joinReplySchema,
  poll: z.strictObject({ task: taskSchema.nullable() }),
  progress: progressReplySchema,
  result: resultReplySchema,
  leave: z.strictObject({}),
};

/** An error reply. Its layout holds across versions, so that a client of any version can show it. */
export const errorReplySchema = z.object({
  code: z.string().min(1).max(100),
  message: z.string(),
  hint: z.string().optional(),
  /** With `PROTOCOL_VERSION`: what the server can read. */
  supported: z.object({ min: z.int(), max: z.int() }).optional(),
});
export type ErrorReply = z.infer<typeof errorReplySchema>;
