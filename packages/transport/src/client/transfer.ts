import { errorMessage, type BlobReference } from '@zk0/core';
import { StorageError, type BlobStore } from '@zk0/storage';
import { RemoteError, TransportError } from '../errors.ts';
import { BLOB_CONTENT_TYPE, PATHS, TRUE, UPLOAD_COMPLETE, UPLOAD_LENGTH, UPLOAD_OFFSET } from '../protocol/http.ts';
import type { Http, HttpReply } from './http.ts';
import type { Retrier } from './retry.ts';
import type { TransferOptions } from './types.ts';

/** One repetition from the start covers bytes damaged on the way; the second mismatch is no accident. */
const MAX_MISMATCHES = 1;

/** Receives a blob into the store. */
export async function download(
  http: Http,
  retrier: Retrier,
  blob: BlobReference,
  blobs: BlobStore,
  { signal, onProgress }: TransferOptions,
): Promise<void> {
  const { hash, byteLength } = blob;
  let mismatches = 0;
  let reached = 0;
  let before = 0;
  await retrier.run(
    `download of ${hash}`,
    signal,
    async () => {
      for (;;) {
        before = reached;
        let offset = await blobs.beginUpload(blob);
        reached = Math.max(reached, offset);
        onProgress?.(offset);
        if (offset < byteLength) {
          const reply = await http.send({
            method: 'GET',
            path: PATHS.blob(hash),
            headers: { range: `bytes=${offset}-` },
            signal,
          });
          try {
            checkRange(reply, blob, offset);
            offset = await blobs.append(blob, offset, told(reply.chunks(), offset, (bytes) => {
              reached = Math.max(reached, bytes);
              onProgress?.(bytes);
            }));
          } finally {
            reply.discard();
          }
          if (offset < byteLength) throw new TransportError('CONNECTION_FAILED', `download of ${hash} ended at byte ${offset}`);
        }
        try {
          await blobs.finish(blob);
          return;
        } catch (error) {
          if (!isMismatch(error) || mismatches++ >= MAX_MISMATCHES) throw asHashMismatch(error);
        }
      }
    },
    () => reached > before,
  );
}

/** Sends a blob from the store. */
export async function upload(
  http: Http,
  retrier: Retrier,
  hash: string,
  blobs: BlobStore,
  { signal, onProgress }: TransferOptions,
): Promise<void> {
  const byteLength = await blobs.size(hash);
  if (byteLength === null) throw new StorageError('BLOB_NOT_FOUND', `no blob ${hash} to send`);
  const path = PATHS.upload(hash);
  const length = { [UPLOAD_LENGTH]: String(byteLength) };
  let conflicts = 0;
  let mismatches = 0;
  let reached = 0;
  let before = 0;
  await retrier.run(
    `upload of ${hash}`,
    signal,
    async () => {
      for (;;) {
        before = reached;
        const state = await http.send({ method: 'POST', path, headers: length, signal });
        await state.bytes();
        const offset = Number(state.header(UPLOAD_OFFSET));
        if (!Number.isSafeInteger(offset) || offset < 0 || offset > byteLength) {
          throw new TransportError('MESSAGE_INVALID', `upload of ${hash}: the server stands at byte ${state.header(UPLOAD_OFFSET) ?? 'none'}`);
        }
        reached = Math.max(reached, offset);
        onProgress?.(offset);
        if (state.header(UPLOAD_COMPLETE) === TRUE) return;
        const body = await blobs.openRead(hash, { start: offset, end: byteLength });
        try {
          const reply = await http.send({
            method: 'PATCH',
            path,
            headers: {
              ...length,
              [UPLOAD_OFFSET]: String(offset),
              'content-type': BLOB_CONTENT_TYPE,
              'content-length': String(byteLength - offset),
            },
            body: told(body, offset, (bytes) => onProgress?.(bytes)),
            signal,
          });
          await reply.bytes();
          if (reply.header(UPLOAD_COMPLETE) === TRUE) return;
        } catch (error) {
          if (isMismatch(error) && mismatches++ < MAX_MISMATCHES) continue;
          // The server stands elsewhere than it said: another request of ours was still being received.
          if (isConflict(error) && conflicts++ < 10) {
            await retrier.pause(`upload of ${hash}`, 200, signal);
            continue;
          }
          throw error;
        } finally {
          body.destroy();
        }
      }
    },
    () => reached > before,
  );
}

function checkRange(reply: HttpReply, { hash, byteLength }: BlobReference, offset: number): void {
  const expected = `bytes ${offset}-${byteLength - 1}/${byteLength}`;
  const range = reply.header('content-range');
  if (reply.status === 206 && range === expected) return;
  if (reply.status === 200 && offset === 0 && reply.header('content-length') === String(byteLength)) return;
  throw new TransportError(
    'HASH_MISMATCH',
    `download of ${hash}: the server has ${range ?? `status ${reply.status}`}, expected ${expected}`,
  );
}

async function* told(
  chunks: AsyncIterable<Uint8Array>,
  offset: number,
  tell: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let position = offset;
  for await (const chunk of chunks) {
    yield chunk;
    position += chunk.byteLength;
    tell(position);
  }
}

function isMismatch(error: unknown): boolean {
  return (error instanceof TransportError || error instanceof StorageError) && error.code === 'HASH_MISMATCH';
}

function asHashMismatch(error: unknown): unknown {
  if (!isMismatch(error)) return error;
  return new TransportError('HASH_MISMATCH', errorMessage(error), { cause: error, hint: 'The server’s copy is damaged; tell its operator.' });
}

function isConflict(error: unknown): boolean {
  return error instanceof RemoteError && (error.code === 'UPLOAD_OFFSET' || error.code === 'UPLOAD_TAKEN_OVER');
}
