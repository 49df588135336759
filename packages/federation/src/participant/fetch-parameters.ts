import { byteLength, encodeHeader, errorMessage, headerLimits, Zk0Error, type BlobReference, type Task, type TensorSource } from '@zk0/core';
import { openSafetensors, type BlobStore, type SafetensorsFile } from '@zk0/storage';
import { appliedTo, decodeUpdate } from '@zk0/update-codec';
import type { FederationLog } from '../log.ts';
import type { FitTask } from '../run/instructions.ts';
import type { FederationConnection, TransferHooks } from './connection.ts';
import { fetchBlob } from './fetch-blob.ts';
import { megabytes } from './megabytes.ts';

/** What fetching a round's parameters needs of this client. */
export interface FetchParametersOptions {
  readonly connection: Pick<FederationConnection, 'download'>;
  readonly blobs: BlobStore;
  readonly log: FederationLog;
}

/** Bytes that are passed on at a time. */
const CHUNK_BYTES = 2 ** 20;
/** What is made here is no upload of anybody, and does not touch a download of the same blob that was cut. */
const OWNER = { owner: 'rebuilt' };
/** What is wrong with the difference or with what it was to be added to: the whole parameters are right all the same. */
const UNUSABLE: ReadonlySet<string> = new Set(['ENCODING_MISMATCH', 'ENCODING_INVALID', 'SAFETENSORS_INVALID', 'HASH_MISMATCH', 'BLOB_DAMAGED', 'INVALID_ARGUMENT']);

/**
 * Brings a round's parameters into this client's store. One that holds those of the round before fetches the encoded difference and makes
 * them of it; their hash says whether they are right. Otherwise, and where they are not, they are fetched whole.
 *
 * @returns where they lie, their bytes verified.
 */
export async function fetchParameters({ round, parameters }: Task, { broadcast }: FitTask, options: FetchParametersOptions, hooks: TransferHooks): Promise<string> {
  const { blobs, log } = options;
  const step = broadcast?.step ?? null;
  // A difference that is no smaller is of no use, and an honest server sends none.
  const isSmaller = step !== null && step.encoded.byteLength < parameters.byteLength;
  if (broadcast !== undefined && step !== null && isSmaller && !(await blobs.has(parameters.hash)) && (await blobs.has(step.from.hash))) {
    try {
      await rebuild(parameters, broadcast.encoding, step, options, hooks);
      log.info(`the parameters came as ${megabytes(step.encoded.byteLength)} instead of ${megabytes(parameters.byteLength)} (${broadcast.encoding})`, { round });
    } catch (error) {
      if (!(error instanceof Zk0Error && UNUSABLE.has(error.code))) throw error;
      log.warn(`the difference to the parameters of the round before cannot be used (${errorMessage(error)}): they are fetched whole`, { round });
    }
  }
  return fetchBlob(parameters, options, hooks);
}

async function rebuild(
  parameters: BlobReference,
  encoding: NonNullable<FitTask['broadcast']>['encoding'],
  { from, encoded }: { readonly from: BlobReference; readonly encoded: BlobReference },
  { connection, blobs }: FetchParametersOptions,
  hooks: TransferHooks,
): Promise<void> {
  const basePath = await blobs.verifiedFile(from);
  const encodedPath = await fetchBlob(encoded, { connection, blobs }, hooks);
  const files: SafetensorsFile[] = [];
  try {
    const base = await openSafetensors(basePath);
    files.push(base);
    const difference = await openSafetensors(encodedPath, headerLimits(base.specs));
    files.push(difference);
    const update = decodeUpdate(difference, difference.metadata, { encoding, base, baseHash: from.hash });
    await blobs.discardUpload(parameters, OWNER);
    await blobs.beginUpload(parameters, OWNER);
    try {
      await blobs.append(parameters, 0, bytesOf(appliedTo(base, update), hooks.signal), OWNER);
      await blobs.finish(parameters, OWNER);
    } catch (error) {
      await blobs.discardUpload(parameters, OWNER);
      throw error;
    }
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

/** The canonical file of float32 tensors. */
async function* bytesOf(source: TensorSource, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  yield encodeHeader(source.specs);
  for (const spec of source.specs) {
    const size = byteLength(spec);
    for (let offset = 0; offset < size; offset += CHUNK_BYTES) {
      signal?.throwIfAborted();
      const chunk = new Uint8Array(Math.min(CHUNK_BYTES, size - offset));
      await source.readBytes(spec.name, offset, chunk);
      yield chunk;
    }
  }
}
