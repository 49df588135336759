import { StorageError, type BlobStore } from '@zk0/storage';
import { ForeignAnswerError, RemoteError, TransportError } from '../errors.ts';
import { decodeEnvelope, parse } from '../protocol/codec.ts';
import { BLOB_CONTENT_TYPE, PATHS, UPLOAD_LENGTH, UPLOAD_OFFSET } from '../protocol/http.ts';
import { UPLOAD, uploadStateSchema, type UploadState } from '../protocol/messages.ts';
import type { Http, HttpReply } from './http.ts';
import type { Pieces } from './pieces.ts';
import type { Retrier } from './retry.ts';
import { isMismatch, told } from './transfer.ts';
import type { TransferOptions } from './types.ts';

/** A few repetitions from the start cover bytes that were damaged on the way. */
const MAX_MISMATCHES = 3;
const MAX_CONFLICTS = 10;
const CONFLICT_PAUSE_MS = 200;
/** A server that is checking is asked again no sooner, in ms; it holds the question itself. */
const MIN_CHECK_INTERVAL_MS = 500;

/**
 * Sends a blob from the store, in pieces, from where the server stands.
 *
 * @param pieces - what is known of the line; shared by all uploads over it
 */
export async function upload(
  http: Http,
  retrier: Retrier,
  pieces: Pieces,
  hash: string,
  blobs: BlobStore,
  { signal, onProgress }: TransferOptions,
): Promise<void> {
  const byteLength = await blobs.size(hash);
  if (byteLength === null) throw new StorageError('BLOB_NOT_FOUND', `no blob ${hash} to send`);
  const path = PATHS.upload(hash);
  const length = { [UPLOAD_LENGTH]: String(byteLength) };
  const what = `upload of ${hash}`;
  let conflicts = 0;
  let mismatches = 0;
  let reached = 0;
  let before = 0;

  const reach = (offset: number): void => {
    reached = Math.max(reached, offset);
    onProgress?.(offset);
  };
  const ask = async (): Promise<UploadState> => {
    for (;;) {
      const begun = performance.now();
      const state = await uploadState(await http.send({ method: 'POST', path, headers: length, signal }), byteLength, what);
      if (state.state !== 'checking') return state;
      const early = MIN_CHECK_INTERVAL_MS - (performance.now() - begun);
      if (early > 0) await retrier.pause(what, early, signal);
    }
  };
  const send = async (offset: number): Promise<UploadState> => {
    const end = Math.min(byteLength, offset + pieces.size);
    const body = await blobs.openRead(hash, { start: offset, end });
    const begun = performance.now();
    try {
      const reply = await http.send({
        method: 'PATCH',
        path,
        headers: {
          ...length,
          [UPLOAD_OFFSET]: String(offset),
          'content-type': BLOB_CONTENT_TYPE,
          'content-length': String(end - offset),
        },
        body: told(body, offset, (bytes) => onProgress?.(bytes)),
        signal,
      });
      const state = await uploadState(reply, byteLength, what);
      if (state.state === 'receiving') pieces.took(end - offset, performance.now() - begun);
      return state;
    } finally {
      await body.close();
    }
  };

  await retrier.run(
    what,
    signal,
    async () => {
      before = reached;
      let state = await ask();
      for (;;) {
        if (state.state === 'complete') {
          reach(byteLength);
          return;
        }
        reach(state.offset);
        try {
          state = await send(state.offset);
          if (state.state === 'checking') state = await ask();
        } catch (error) {
          if (error instanceof ForeignAnswerError && error.status === 413 && pieces.failed()) {
            state = await ask();
            continue;
          }
          const again = (isMismatch(error) && mismatches++ < MAX_MISMATCHES) || (isConflict(error) && conflicts++ < MAX_CONFLICTS);
          if (!again) {
            if (isLineFailure(error)) pieces.failed();
            throw error;
          }
          // The server stands elsewhere than it said: another request of ours is still being received there, or bytes were damaged.
          await retrier.pause(what, CONFLICT_PAUSE_MS, signal);
          state = await ask();
        }
      }
    },
    () => reached > before,
  );
}

async function uploadState(reply: HttpReply, byteLength: number, what: string): Promise<UploadState> {
  const { type, body } = decodeEnvelope(await reply.bytes());
  if (type !== UPLOAD) throw new TransportError('MESSAGE_INVALID', `${what}: the server answered with ${type}`);
  const state = parse(uploadStateSchema, body, what);
  if (state.offset > byteLength || (state.state === 'receiving' && state.offset === byteLength)) {
    throw new TransportError('MESSAGE_INVALID', `${what}: the server stands at byte ${state.offset} of ${byteLength}`);
  }
  return state;
}

function isConflict(error: unknown): boolean {
  return error instanceof RemoteError && (error.code === 'UPLOAD_OFFSET' || error.code === 'UPLOAD_TAKEN_OVER');
}

/** The line broke or fell silent: a smaller piece may get through where this one did not. */
function isLineFailure(error: unknown): boolean {
  return error instanceof TransportError && ['CONNECTION_FAILED', 'NO_PROGRESS', 'FOREIGN_ANSWER'].includes(error.code);
}
