import type { IncomingMessage } from 'node:http';
import { TransportError } from '../errors.ts';

/** A small body is there at once; who takes longer is holding the connection. */
const READ_DEADLINE_MS = 30_000;

/**
 * Reads a small body whole. Too long a one is refused by its announced length, unread, or as soon as it exceeds the
 * limit.
 *
 * @throws TransportError `BODY_TOO_LARGE`, `NO_PROGRESS`
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
  return Buffer.concat(chunks);
}

function tooLarge(size: number, limit: number): TransportError {
  return new TransportError('BODY_TOO_LARGE', `a body of ${size} bytes or more; the limit is ${limit}`);
}
