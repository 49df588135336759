import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { OperatorPage } from '@zk0/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { TransportError } from '../errors.ts';
import { parseRange } from './blob-routes.ts';
import { notFound } from './error-reply.ts';

/** A clip is a few seconds of two small pictures; more than this is none. */
const MAX_CLIP_BYTES = 64 * 2 ** 20;

/**
 * Sends a clip of a trial, whole or the range that the browser asks for, as it does to wind in it.
 *
 * @throws TransportError `NOT_FOUND`; what the page throws for a run that does not exist
 */
export async function sendClip(page: OperatorPage, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { run, checkpoint, file } = request.params as { readonly run: string; readonly checkpoint: string; readonly file: string };
  const path = await page.clip?.(run, checkpoint, file);
  const size = path == null ? undefined : await sizeOf(path);
  if (path == null || size === undefined) throw notFound(request);
  const range = parseRange(request.headers.range, size);
  reply.headers({ 'content-type': 'video/mp4', 'accept-ranges': 'bytes', 'cache-control': 'private, max-age=3600' });
  if (range === 'unsatisfiable') {
    return reply.code(416).header('content-range', `bytes */${size}`).send();
  }
  const { start, end } = range ?? { start: 0, end: size };
  if (range !== null) reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${size}`);
  reply.header('content-length', String(end - start));
  return reply.send(createReadStream(path, { start, end: Math.max(start, end - 1) }));
}

async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true || found.size === 0) return undefined;
  if (found.size > MAX_CLIP_BYTES) throw new TransportError('BODY_TOO_LARGE', `the clip has ${found.size} bytes; the page shows ${MAX_CLIP_BYTES} at most`);
  return found.size;
}
