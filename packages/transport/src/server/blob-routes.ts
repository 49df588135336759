import type { OutgoingHttpHeaders } from 'node:http';
import type { BlobReference, ClientPrincipal, FederationService } from '@zk0/core';
import { assertHash, StorageError, type BlobReader, type BlobStore, type ByteRange } from '@zk0/storage';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { TransportError } from '../errors.ts';
import type { TransportLog } from '../log.ts';
import { encodeMessage, MESSAGE_CONTENT_TYPE } from '../protocol/codec.ts';
import { freed, receivedChunks, writeChunks } from '../protocol/chunks.ts';
import { BLOB_CONTENT_TYPE, PATHS, UPLOAD_LENGTH, UPLOAD_OFFSET } from '../protocol/http.ts';
import { UPLOAD, type UploadState } from '../protocol/messages.ts';
import { sendError } from './error-reply.ts';
import { watchPace, type Pace } from './pace.ts';
import type { PendingWork } from './pending-work.ts';
import { UploadAccounts, type UploadLimits } from './upload-accounts.ts';

/** What the blob routes need of the server. */
export interface BlobRoutesOptions {
  readonly service: Pick<FederationService, 'authorizeUpload' | 'authorizeDownload'>;
  readonly blobs: BlobStore;
  readonly log: TransportLog;
  readonly uploads: UploadLimits;
  readonly pace: Pace;
  readonly pending: PendingWork;
  readonly closing: AbortSignal;
}

interface HashParams {
  Params: { readonly hash: string };
}

/** Blobs down by plain ranged GETs (any HTTP cache can serve them), up by resumable uploads. */
export function addBlobRoutes(app: FastifyInstance, options: BlobRoutesOptions): void {
  const { service, blobs, log, pace, pending, closing } = options;
  const accounts = new UploadAccounts(options.uploads);

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
      const stopWatch = watchPace(request.raw.socket, 'bytesWritten', pace);
      reply.raw.once('close', stopWatch);
      return sendBlob(reply, await blobs.openRead(hash, { start, end }));
    }),
  });

  app.post<HashParams>(
    PATHS.upload(':hash'),
    guarded(async (hash, request, reply, client) => {
      const blob = announced(hash, request);
      await service.authorizeUpload(client, blob);
      accounts.announce(client.clientId, blob);
      return sendState(
        reply,
        await stateAfter(client, blob, async () => {
          // After a restart this reads what is there, to hash it.
          const offset = await blobs.beginUpload(blob, { owner: client.clientId });
          // The last byte had arrived when the connection broke, or the process ended, before the upload was finished.
          if (offset === blob.byteLength && !(await blobs.has(hash))) await finish(client, blob);
          return offset;
        }),
      );
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
      accounts.announce(client.clientId, blob);
      const end = accounts.receive(client.clientId);
      const stopWatch = watchPace(request.raw.socket, 'bytesRead', pace);
      let now: number;
      try {
        now = await blobs.append(blob, offset, freed(receivedChunks(request.raw)), { owner: client.clientId });
      } finally {
        stopWatch();
        end();
      }
      if (now < blob.byteLength) return sendState(reply, { state: 'receiving', offset: now });
      return sendState(
        reply,
        await stateAfter(client, blob, async () => {
          await finish(client, blob);
          return blob.byteLength;
        }),
      );
    }),
  );

  /** Does work on an upload that may take long; a request that comes while it is done waits for the same work. */
  async function stateAfter({ clientId }: ClientPrincipal, blob: BlobReference, work: () => Promise<number>): Promise<UploadState> {
    try {
      const answer = await pending.answer(clientId, `upload ${blob.hash} ${blob.byteLength}`, work);
      if (!answer.done) return { state: 'checking', offset: 0 };
      if (answer.value < blob.byteLength) return { state: 'receiving', offset: answer.value };
    } catch (error) {
      accounts.settle(clientId, blob);
      throw error;
    }
    accounts.settle(clientId, blob);
    return { state: 'complete', offset: blob.byteLength };
  }

  async function finish({ clientId }: ClientPrincipal, blob: BlobReference): Promise<void> {
    await blobs.finish(blob, { owner: clientId });
    log.debug(`blob ${blob.hash} received`, { bytes: blob.byteLength });
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

/** Sends a blob's bytes past the framework, which knows of no memory that is used again. A line that breaks ends the reading. */
async function sendBlob(reply: FastifyReply, bytes: BlobReader): Promise<FastifyReply> {
  const { raw } = reply.hijack();
  const { socket } = reply.request.raw;
  // An answer that waits behind others on its connection is not told when that closes: its file would stay open.
  const closeFile = (): void => { void bytes.close(); };
  socket.once('close', closeFile);
  if (socket.destroyed) closeFile();
  raw.writeHead(reply.statusCode, reply.getHeaders() as OutgoingHttpHeaders);
  try {
    await writeChunks(bytes, raw);
    raw.end();
  } catch {
    // The head is out: only a cut connection can say that something is missing.
    raw.destroy();
  } finally {
    socket.off('close', closeFile);
    closeFile();
  }
  return reply;
}

function sendState(reply: FastifyReply, state: UploadState): FastifyReply {
  return reply.type(MESSAGE_CONTENT_TYPE).send(Buffer.from(encodeMessage(UPLOAD, state)));
}
