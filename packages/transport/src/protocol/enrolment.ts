import { clientIdSchema } from '@zk0/core';
import * as z from 'zod';
import { MAX_NAME } from '../identity/registry.ts';

/** A node asks to be enrolled: the only message with a type that is not of the federation. */
export const ENROLL = 'enroll';
/** It holds a token, a key and two names. */
export const MAX_ENROLMENT_BYTES = 4096;

export const enrolmentSchema = z.strictObject({
  token: z.string().min(1).max(200),
  /** 32 bytes in base64url. The request is signed with this key, which proves that the node has the private half. */
  publicKey: z.string().length(43),
  /** What the node trains on, for the operator to read. */
  dataset: z.string().max(MAX_NAME),
});

export const enrolmentReplySchema = z.strictObject({
  /** Goes into the header `zk0-server` of every request from now on. */
  serverId: z.string().min(1).max(100),
  clientId: clientIdSchema,
  fingerprint: z.string().length(43),
  /** `pending`: the operator has to approve the node first. */
  state: z.enum(['pending', 'approved']),
});
export type EnrolmentReply = z.infer<typeof enrolmentReplySchema>;
