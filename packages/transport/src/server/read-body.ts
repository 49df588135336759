import type { IncomingMessage } from 'node:http';
import { TransportError } from '../errors.ts';
import { MESSAGE_CONTENT_TYPE } from '../protocol/codec.ts';
import { CONTENT_DIGEST, matchesDigest } from '../protocol/digest.ts';

/** A small body is there at once; who takes longer is holding the connection. */
const READ_DEADLINE_MS = 30_000;

/**
 * Reads a message's bytes, as they were sent.
 *
 * @throws TransportError `MESSAGE_INVALID` without the content type or the digest, `MESSAGE_DAMAGED`, `BODY_TOO_LARGE`, `NO_PROGRESS`
 */
export async function readMessage(request: IncomingMessage, limit: number): Promise<Buffer> {
  // Asking for this type also keeps web pages out: a browser sends no such request across sites without asking first.
  if (request.headers['content-type'] !== MESSAGE_CONTENT_TYPE) {
    throw new TransportError('MESSAGE_INVALID', `content-type must be ${MESSAGE_CONTENT_TYPE}`);
  }
  if (request.headers[CONTENT_DIGEST] === undefined) {
    throw new TransportError('MESSAGE_INVALID', `a message needs the header ${CONTENT_DIGEST} with its SHA-256`);
  }
  return readBody(request, limit);
}

/**
 * Reads a small body whole. Too long a one is refused by its announced length, unread, or as soon as it exceeds the
 * limit.
 *
 * @throws TransportError `BODY_TOO_LARGE`, `NO_PROGRESS`; `MESSAGE_DAMAGED` when it does not have the digest that came with it.
 */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > limit) throw tooLarge(announced, limit);
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(() => {
    request.destroy(new TransportError('NO_PROGRESS', `no whole body within ${READ_DEADLINE_MS / 1000} s`));
  }, READ_DEADLINE_MS);
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.byteLength;
      if (size > limit) throw tooLarge(size, limit);
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(timer);
  }
  const body = Buffer.concat(chunks);
  const digest = request.headers[CONTENT_DIGEST];
  if (digest !== undefined && !matchesDigest(String(digest), body)) {
    throw new TransportError('MESSAGE_DAMAGED', 'the body does not have the digest that came with it', { hint: 'Send it again.' });
  }
  return body;
}

function tooLarge(size: number, limit: number): TransportError {
  return new TransportError('BODY_TOO_LARGE', `a body of ${size} bytes or more; the limit is ${limit}`);
}
