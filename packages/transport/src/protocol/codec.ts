import { createRequire } from 'node:module';
import { errorMessage } from '@zk0/core';
import type * as Msgpackr from 'msgpackr';
import * as z from 'zod';
import { TransportError } from '../errors.ts';
import { errorReplySchema, MAX_MESSAGE_BYTES, PROTOCOL_VERSION, SUPPORTED_VERSIONS, type ErrorReply } from './messages.ts';

// The build that never compiles code: msgpackr's default one turns record definitions, which a peer can send, into
// functions. It is CommonJS without types of its own.
const { Packr, Unpackr } = createRequire(import.meta.url)('msgpackr/index-no-eval') as typeof Msgpackr;

export const MESSAGE_CONTENT_TYPE = 'application/msgpack';

const OPTIONS = { useRecords: false, structuredClone: false, mapsAsObjects: true, int64AsType: 'number' } as const;

/** What surrounds every message. `v` and `type` are read before anything else. */
const envelopeSchema = z.object({ v: z.int().min(0), type: z.string().max(100), body: z.unknown() });

/** A decoded message whose body is not checked yet. */
export interface Envelope {
  readonly version: number;
  readonly type: string;
  readonly body: unknown;
}

/**
 * Bytes of a message. The body must have passed its schema: msgpack would mangle what is not JSON (a `Float32Array`
 * becomes one byte a value).
 *
 * @throws TransportError `BODY_TOO_LARGE` above {@link MAX_MESSAGE_BYTES}
 */
export function encodeMessage(type: string, body: unknown): Uint8Array {
  const bytes = new Packr(OPTIONS).pack({ v: PROTOCOL_VERSION, type, body });
  if (bytes.byteLength > MAX_MESSAGE_BYTES) {
    throw new TransportError('BODY_TOO_LARGE', `${type}: the message has ${bytes.byteLength} bytes of ${MAX_MESSAGE_BYTES}`);
  }
  return bytes;
}

/**
 * Decodes a message up to its version and type.
 *
 * @throws TransportError `MESSAGE_INVALID`, `PROTOCOL_VERSION`, `BODY_TOO_LARGE`
 */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.byteLength > MAX_MESSAGE_BYTES) {
    throw new TransportError('BODY_TOO_LARGE', `a message of ${bytes.byteLength} bytes; the limit is ${MAX_MESSAGE_BYTES}`);
  }
  let value: unknown;
  try {
    // A decoder of its own for each message: none sees what another peer's message left in it.
    value = new Unpackr(OPTIONS).unpack(bytes);
  } catch (error) {
    throw new TransportError('MESSAGE_INVALID', `not a msgpack message (${errorMessage(error).slice(0, 200)})`, { cause: error });
  }
  const { v, type, body } = parse(envelopeSchema, value, 'message');
  // An error's layout holds across versions.
  if (type !== 'error' && (v < SUPPORTED_VERSIONS.min || v > SUPPORTED_VERSIONS.max)) {
    throw new TransportError(
      'PROTOCOL_VERSION',
      `a message of protocol version ${v}; this side reads ${versionRange(SUPPORTED_VERSIONS)}`,
      { hint: 'Run the same zk0 release on both sides.' },
    );
  }
  return { version: v, type, body };
}

/** A range of protocol versions in words: `2`, or `2 to 4`. */
export function versionRange({ min, max }: { readonly min: number; readonly max: number }): string {
  return min === max ? String(min) : `${min} to ${max}`;
}

/** Reads an `error` message's body, `null` when there is nothing to understand. */
export function decodeError(bytes: Uint8Array): ErrorReply | null {
  try {
    const { type, body } = decodeEnvelope(bytes);
    return type === 'error' ? errorReplySchema.parse(body) : null;
  } catch {
    return null;
  }
}

/**
 * Checks a value against a schema.
 *
 * @throws TransportError `MESSAGE_INVALID` that names the field.
 */
export function parse<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  let problem: string;
  let cause: unknown;
  try {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    problem = `${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'invalid'}`;
  } catch (error) {
    // Nesting deep enough to exhaust the stack.
    problem = errorMessage(error);
    cause = error;
  }
  throw new TransportError('MESSAGE_INVALID', `${what}: ${problem}`.slice(0, 500), { cause });
}
