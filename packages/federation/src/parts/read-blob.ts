import { readFile } from 'node:fs/promises';
import type { BlobReference } from '@zk0/core';
import type { EngineBlobs } from '../blobs/engine-blobs.ts';
import { FederationError } from '../errors.ts';

/** The bytes of a small blob. @throws FederationError `PART_UNREADABLE` for one that is larger; what the store throws */
export async function readBlob(blobs: EngineBlobs, blob: BlobReference, maxBytes: number): Promise<Uint8Array> {
  if (blob.byteLength > maxBytes) throw new FederationError('PART_UNREADABLE', `blob ${blob.hash} has ${blob.byteLength} bytes, and ${maxBytes} are read`);
  return blobs.inMemory?.(blob.hash) ?? readFile(await blobs.verifiedFile(blob));
}
