import { errorMessage } from '@zk0/core';
import type { FastifyRequest } from 'fastify';
import type * as z from 'zod';
import { TransportError } from '../errors.ts';
import { parse } from '../protocol/codec.ts';
import { readBody } from './read-body.ts';

/**
 * Reads a request's JSON body and checks it.
 *
 * @throws TransportError `MESSAGE_INVALID`, `BODY_TOO_LARGE`
 */
export async function jsonBody<T>(request: FastifyRequest, schema: z.ZodType<T>, what: string, limit: number): Promise<T> {
  // Demanding JSON also keeps web pages of other sites out: a browser asks first before it sends that across sites.
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new TransportError('MESSAGE_INVALID', `${what}: content-type must be application/json`);
  }
  const bytes = await readBody(request.raw, limit);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new TransportError('MESSAGE_INVALID', `${what}: not JSON (${errorMessage(error)})`, { cause: error });
  }
  return parse(schema, value, what);
}
