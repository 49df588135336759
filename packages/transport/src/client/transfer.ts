import { CancelledError, errorMessage, type BlobReference } from '@zk0/core';
import { StorageError, type BlobStore } from '@zk0/storage';
import { TransportError } from '../errors.ts';
import { freed } from '../protocol/chunks.ts';
import { PATHS } from '../protocol/http.ts';
import type { Http, HttpReply } from './http.ts';
import type { Retrier } from './retry.ts';
import type { DownloadOptions } from './types.ts';

/** A few repetitions from the start cover bytes that were damaged on the way. */
const MAX_MISMATCHES = 3;

/** Receives a blob into the store; what is refused for good does not stay there. */
export async function download(
  http: Http,
  retrier: Retrier,
  blob: BlobReference,
  blobs: BlobStore,
  { signal, onProgress, maxBytes = Infinity }: DownloadOptions,
): Promise<void> {
  const { hash, byteLength } = blob;
  const what = `download of ${hash}`;
  if (byteLength > maxBytes) {
    throw new TransportError('BODY_TOO_LARGE', `${what}: ${byteLength} bytes, and at most ${maxBytes} are expected`, {
      hint: 'The server names a blob that is none of this kind; tell its operator.',
    });
  }
  let mismatches = 0;
  let reached = 0;
  let before = 0;

  const receive = async (): Promise<void> => {
    let offset = await blobs.beginUpload(blob);
    reached = Math.max(reached, offset);
    onProgress?.(offset);
    if (offset < byteLength) {
      const reply = await http.send({ method: 'GET', path: PATHS.blob(hash), headers: { range: `bytes=${offset}-` }, signal });
      try {
        checkRange(reply, blob, offset);
        offset = await blobs.append(blob, offset, told(freed(reply.chunks()), offset, (bytes) => {
          reached = Math.max(reached, bytes);
          onProgress?.(bytes);
        }));
      } finally {
        reply.discard();
      }
      if (offset < byteLength) throw new TransportError('CONNECTION_FAILED', `${what} ended at byte ${offset}`);
    }
    await blobs.finish(blob);
  };

  try {
    await retrier.run(
      what,
      signal,
      async () => {
        for (;;) {
          before = reached;
          try {
            await receive();
            return;
          } catch (error) {
            if (!isMismatch(error) || mismatches++ >= MAX_MISMATCHES) throw asHashMismatch(error);
          }
        }
      },
      () => reached > before,
    );
  } catch (error) {
    // A call that was broken off goes on next time; one that was refused leaves nothing behind.
    if (!(error instanceof CancelledError)) await blobs.discardUpload(blob);
    throw error;
  }
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

/** The same chunks; says after each one how far they reach. */
export async function* told(
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

/** Bytes that are not those of their hash, found by this side or by the other. */
export function isMismatch(error: unknown): boolean {
  return (error instanceof TransportError || error instanceof StorageError) && error.code === 'HASH_MISMATCH';
}

function asHashMismatch(error: unknown): unknown {
  if (!isMismatch(error)) return error;
  return new TransportError('HASH_MISMATCH', errorMessage(error), { cause: error, hint: 'The server’s copy is damaged; tell its operator.' });
}
