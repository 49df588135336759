import { errorMessage, Zk0Error } from '@zk0/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { TransportError } from '../errors.ts';
import { encodeMessage, MESSAGE_CONTENT_TYPE } from '../protocol/codec.ts';
import { SUPPORTED_VERSIONS, type ErrorReply } from '../protocol/messages.ts';
import type { TransportLog } from '../log.ts';

/**
 * HTTP status by code: 4xx is final for a client, 5xx is tried again. What is not listed is the application's refusal of
 * a well-formed request: 409.
 */
const STATUS: Readonly<Record<string, number>> = {
  UNAUTHORIZED: 401,
  SIGNATURE_INVALID: 401,
  SIGNATURE_REPLAYED: 401,
  CLOCK_SKEW: 401,
  WRONG_SERVER: 421,
  NODE_PENDING: 403,
  NODE_REVOKED: 403,
  TOKEN_REFUSED: 403,
  CLIENT_ID_TAKEN: 409,
  FORBIDDEN: 403,
  BROWSER_REFUSED: 403,
  INSECURE: 403,
  HOST_REFUSED: 421,
  NOT_FOUND: 404,
  PROTOCOL_VERSION: 400,
  MESSAGE_INVALID: 400,
  MESSAGE_DAMAGED: 400,
  HASH_INVALID: 400,
  BODY_TOO_LARGE: 413,
  BLOB_NOT_FOUND: 404,
  BLOB_RANGE: 416,
  BLOB_TOO_LARGE: 413,
  UPLOAD_TOO_LONG: 413,
  HASH_MISMATCH: 422,
  BUSY: 503,
  CLOSING: 503,
  CANCELLED: 503,
  DISK_FULL: 507,
  STORE_FULL: 507,
  DISK_READ_ONLY: 507,
  UPLOAD_QUOTA: 429,
  DISK_FAULT: 500,
  FILES_EXHAUSTED: 503,
  STORE_UNREACHABLE: 503,
  BLOB_DAMAGED: 500,
  LEDGER_UNUSABLE: 500,
  FILE_UNWRITABLE: 500,
  FILE_UNREADABLE: 500,
  INTERNAL: 500,
};
/** Seconds after which a client may try again what failed for lack of room. */
const RETRY_AFTER: Readonly<Record<number, number>> = { 429: 5, 503: 1, 507: 30 };

/** The server's own trouble, as its clients hear it: which file it is about is not for them. */
const OWN_TROUBLE: Readonly<Record<string, string>> = {
  DISK_FULL: 'the disk of the server is full',
  DISK_READ_ONLY: 'the disk of the server is read-only',
  DISK_FAULT: 'the disk of the server failed',
  FILES_EXHAUSTED: 'the server has no file handle left',
  STORE_UNREACHABLE: 'a store of the server does not answer',
  FILE_UNWRITABLE: 'the server cannot write a file of its own',
  FILE_UNREADABLE: 'the server cannot read a file of its own',
  LEDGER_UNUSABLE: 'the server cannot use its ledger',
  BLOB_DAMAGED: 'a file of the server is damaged',
};
/** Every client meets the same trouble: the log says it once in so many ms. */
const TROUBLE_EVERY_MS = 60_000;
const troubles = new WeakMap<TransportLog, Map<string, number>>();

function logTrouble(log: TransportLog, error: Zk0Error): void {
  const said = troubles.get(log) ?? new Map<string, number>();
  troubles.set(log, said);
  const now = performance.now();
  if (now - (said.get(error.code) ?? -Infinity) < TROUBLE_EVERY_MS) return;
  said.set(error.code, now);
  log.warn(`${error.message}${error.hint === undefined ? '' : `. ${error.hint}`}`, { error });
}

/** Status and body of the answer to an error; what nobody foresaw is logged and told without details. */
export function describeError(error: unknown, log: TransportLog): { readonly status: number; readonly body: ErrorReply } {
  // What is wrong with the server's own files is not for its clients.
  if (!(error instanceof Zk0Error) || error.code === 'REGISTRY_UNUSABLE') {
    log.error('request failed', { error });
    return { status: 500, body: { code: 'INTERNAL', message: 'the server failed; its log says why' } };
  }
  const { code, message, hint } = error;
  const trouble = OWN_TROUBLE[code];
  if (trouble !== undefined) {
    logTrouble(log, error);
    return { status: STATUS[code]!, body: { code, message: trouble } };
  }
  return {
    status: STATUS[code] ?? 409,
    body: {
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      ...(code === 'PROTOCOL_VERSION' ? { supported: SUPPORTED_VERSIONS } : {}),
    },
  };
}

/** What the framework finds wrong with a request before a route sees it: a content type that is none, a malformed address. */
export function frameworkError(error: unknown): unknown {
  const { statusCode } = error as { readonly statusCode?: unknown };
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode >= 500) return error;
  return new TransportError('MESSAGE_INVALID', `the request is malformed (${errorMessage(error).slice(0, 200)})`, { cause: error });
}

/** What is answered where there is no route. */
export function notFound(request: FastifyRequest): TransportError {
  return new TransportError('NOT_FOUND', `${request.method} ${request.url.slice(0, 200)} is nothing here`);
}

/** Node's own errors for a peer that is gone. */
function isDisconnect(error: unknown): boolean {
  return /^(ECONNRESET|EPIPE|ERR_STREAM_PREMATURE_CLOSE)$/.test((error as { code?: string } | null)?.code ?? '');
}

/** Sends an error: as JSON to operators' tools, as a message to clients. */
export function sendError(reply: FastifyReply, error: unknown, log: TransportLog, format: 'json' | 'message'): FastifyReply {
  // A peer that goes away in the middle of its request is no error of this server, and nobody is there to read an answer.
  const gone = reply.request.raw.destroyed && isDisconnect(error);
  const cut = new TransportError('CONNECTION_FAILED', 'the connection ended in the middle of the request', { cause: error });
  const { status, body } = describeError(gone ? cut : error, log);
  const retryAfter = RETRY_AFTER[status];
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter));
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  reply.code(status);
  if (format === 'json') return reply.type('application/json').send(JSON.stringify({ error: body }));
  return reply.type(MESSAGE_CONTENT_TYPE).send(Buffer.from(encodeMessage('error', body)));
}
