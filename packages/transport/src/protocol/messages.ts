import {
  heartbeatMessageSchema,
  heartbeatReplySchema,
  joinMessageSchema,
  joinReplySchema,
  reportMessageSchema,
  resultReplySchema,
  taskResultSchema,
  taskSchema,
  type HeartbeatMessage,
  type HeartbeatReply,
  type JoinMessage,
  type JoinReply,
  type ReportMessage,
  type ResultReply,
  type Task,
  type TaskResult,
} from '@zk0/core';
import * as z from 'zod';

/** The version that this release writes. Since version 2 a message does not name its sender: the request's headers do. */
export const PROTOCOL_VERSION = 2;
/** The versions that this release reads. */
export const SUPPORTED_VERSIONS = { min: 2, max: 2 } as const;

/** Control messages are a few kB; tensors are never inside. */
export const MAX_MESSAGE_BYTES = 256 * 1024;

const empty = z.strictObject({});

/** What clients send, by type. */
export interface RequestBodies {
  readonly join: JoinMessage;
  readonly poll: Readonly<Record<string, never>>;
  readonly heartbeat: HeartbeatMessage;
  readonly report: ReportMessage;
  readonly result: TaskResult;
  readonly leave: Readonly<Record<string, never>>;
}
export type RequestType = keyof RequestBodies;

/** What the server answers, by the type of the request. A poll without a task in time is answered with `null`. */
export interface ReplyBodies {
  readonly join: JoinReply;
  readonly poll: { readonly task: Task | null };
  readonly heartbeat: HeartbeatReply;
  readonly report: Readonly<Record<string, never>>;
  readonly result: ResultReply;
  readonly leave: Readonly<Record<string, never>>;
}

export const REQUEST_SCHEMAS: { readonly [T in RequestType]: z.ZodType<RequestBodies[T]> } = {
  join: joinMessageSchema,
  poll: empty,
  heartbeat: heartbeatMessageSchema,
  report: reportMessageSchema,
  result: taskResultSchema,
  leave: empty,
};
export const REPLY_SCHEMAS: { readonly [T in RequestType]: z.ZodType<ReplyBodies[T]> } = {
  join: joinReplySchema,
  poll: z.strictObject({ task: taskSchema.nullable() }),
  heartbeat: heartbeatReplySchema,
  report: empty,
  result: resultReplySchema,
  leave: empty,
};

/** The type of the message that says that the answer is not there yet; its body is empty. The same request is sent again to get it. */
export const PENDING = 'pending';

/** Where an upload stands. */
export const uploadStateSchema = z.strictObject({
  /** `receiving`: bytes from `offset` on are expected. `checking`: ask again. `complete`: the server has the blob. */
  state: z.enum(['receiving', 'checking', 'complete']),
  /** Bytes that are there; of no meaning while the server is checking. */
  offset: z.int().min(0),
});
export type UploadState = z.infer<typeof uploadStateSchema>;
/** The type of the message that carries an {@link UploadState}. */
export const UPLOAD = 'upload';

/** An error reply. Its layout holds across versions, so that a client of any version can show it. */
export const errorReplySchema = z.object({
  code: z.string().min(1).max(100),
  message: z.string(),
  hint: z.string().optional(),
  /** With `PROTOCOL_VERSION`: what the server can read. */
  supported: z.object({ min: z.int(), max: z.int() }).optional(),
});
export type ErrorReply = z.infer<typeof errorReplySchema>;
