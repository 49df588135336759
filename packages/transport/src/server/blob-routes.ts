import type { IncomingMessage } from 'node:http';
import type { BlobReference, ClientPrincipal, FederationService } from '@zk0/core';
import { assertHash, StorageError, type BlobStore, type ByteRange } from '@zk0/storage';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { TransportError } from '../errors.ts';
import type { TransportLog } from '../log.ts';
import { BLOB_CONTENT_TYPE, FALSE, PATHS, TRUE, UPLOAD_COMPLETE, UPLOAD_LENGTH, UPLOAD_OFFSET } from '../protocol/http.ts';
import { sendError } from './error-reply.ts';
import { whileAlive } from './sign-of-life.ts';

/** What the blob routes need of the server. */
export interface BlobRoutesOptions {
  readonly service: Pick<FederationService, 'authorizeUpload' | 'authorizeDownload'>;
  readonly blobs: BlobStore;
  readonly log: TransportLog;
  /** Uploads received at once. */
  readonly maxUploads: number;
  /** A peer that waits for an answer hears so often that it is being worked on, in ms. */
  readonly signOfLifeMs: number;
  readonly closing: AbortSignal;
}

interface HashParams {
  Params: { readonly hash: string };
}

/** Blobs down by plain ranged GETs (any HTTP cache can serve them), up by resumable uploads. */
export function addBlobRoutes(app: FastifyInstance, options: BlobRoutesOptions): void {
  const { service, blobs, log, maxUploads, signOfLifeMs, closing } = options;
  let uploads = 0;

  const guarded =
    (route: (hash: string, request: FastifyRequest, reply: FastifyReply, client: ClientPrincipal) => Promise<FastifyReply>) =>
    async (request: FastifyRequest<HashParams>, reply: FastifyReply): Promise<FastifyReply> => {
      try {
        assertHash(request.params.hash);
        return await route(request.params.hash, request, reply, request.getDecorator<ClientPrincipal>('client'));
      } catch (error) {
        // What the peer still sends is not read: the connection ends with the answer.
        if (!request.raw.complete) reply.header('connection', 'close');
        return sendError(reply, error, log, 'message');
      }
    };

  app.route<HashParams>({
    method: ['GET', 'HEAD'],
    url: PATHS.blob(':hash'),
    exposeHeadRoute: false,
    handler: guarded(async (hash, request, reply, client) => {
      await service.authorizeDownload(client, hash);
      const size = await blobs.size(hash);
      if (size === null) throw new StorageError('BLOB_NOT_FOUND', `no blob ${hash} on this server`);
      // The address is the content: a copy never goes stale.
      const etag = `"${hash}"`;
      reply.headers({
        etag,
        'accept-ranges': 'bytes',
        'cache-control': 'private, max-age=31536000, immutable',
        'content-type': BLOB_CONTENT_TYPE,
      });
      if (request.headers['if-none-match'] === etag) return reply.code(304).send();
      const range = parseRange(request.headers.range, size);
      if (range === 'unsatisfiable') {
        reply.header('content-range', `bytes */${size}`);
        throw new StorageError('BLOB_RANGE', `blob ${hash} has ${size} bytes, not ${request.headers.range ?? ''}`);
      }
      const { start, end } = range ?? { start: 0, end: size };
      reply.header('content-length', String(end - start));
      if (range !== null) reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${size}`);
      if (request.method === 'HEAD') return reply.send();
      return reply.send(await blobs.openRead(hash, { start, end }));
    }),
  });

  app.post<HashParams>(
    PATHS.upload(':hash'),
    guarded(async (hash, request, reply, client) => {
      const blob = announced(hash, request);
      await service.authorizeUpload(client, blob);
      // After a restart this reads what is there, to hash it.
      let offset = await whileAlive(reply.raw, signOfLifeMs, blobs.beginUpload(blob));
      // The last byte had arrived when the connection broke, or the process ended, before the upload was finished.
      if (offset === blob.byteLength && !(await blobs.has(hash))) {
        offset = await whileAlive(reply.raw, signOfLifeMs, finish(blob));
      }
      return sendOffset(reply, blob, offset);
    }),
  );

  app.patch<HashParams>(
    PATHS.upload(':hash'),
    guarded(async (hash, request, reply, client) => {
      const blob = announced(hash, request);
      await service.authorizeUpload(client, blob);
      const offset = header(request, UPLOAD_OFFSET);
      const length = header(request, 'content-length');
      if (offset + length > blob.byteLength) {
        throw new TransportError('BODY_TOO_LARGE', `upload ${hash}: bytes up to ${offset + length} of ${blob.byteLength}`);
      }
      if (closing.aborted) throw new TransportError('CLOSING', 'the server is shutting down');
      if (uploads >= maxUploads) throw new TransportError('BUSY', `${maxUploads} uploads are under way already`);
      uploads++;
      try {
        let now = await blobs.append(blob, offset, chunksOf(request.raw));
        if (now === blob.byteLength) now = await whileAlive(reply.raw, signOfLifeMs, finish(blob));
        return await sendOffset(reply, blob, now);
      } finally {
        uploads--;
      }
    }),
  );

  async function finish(blob: BlobReference): Promise<number> {
    await blobs.finish(blob);
    log.debug(`blob ${blob.hash} received`, { bytes: blob.byteLength });
    return blob.byteLength;
  }
}

/**
 * A single byte range of RFC 9110; `null` for none or for a form that may be ignored (several ranges, other units).
 */
export function parseRange(value: string | undefined, size: number): ByteRange | 'unsatisfiable' | null {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(value ?? '');
  if (match === null) return null;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return null;
  if (first === '') {
    const suffix = Math.min(Number(last), size);
    return suffix === 0 ? 'unsatisfiable' : { start: size - suffix, end: size };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) return null;
  if (start >= size) return 'unsatisfiable';
  return { start, end: last === '' ? size : Math.min(Number(last) + 1, size) };
}

function announced(hash: string, request: FastifyRequest): BlobReference {
  return { hash, byteLength: header(request, UPLOAD_LENGTH) };
}

function header(request: FastifyRequest, name: string): number {
  const value = request.headers[name];
  if (typeof value !== 'string' || !/^\d{1,15}$/.test(value)) {
    throw new TransportError('MESSAGE_INVALID', `${request.method} ${request.url}: header ${name} is not a number`);
  }
  return Number(value);
}

/** The body, without ending the connection when its reader stops early: the answer still has to go out. */
function chunksOf(request: IncomingMessage): AsyncIterable<Uint8Array> {
  return request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
}

function sendOffset(reply: FastifyReply, blob: BlobReference, offset: number): FastifyReply {
  return reply
    .code(204)
    .headers({ [UPLOAD_OFFSET]: String(offset), [UPLOAD_COMPLETE]: offset === blob.byteLength ? TRUE : FALSE })
    .send();
}
