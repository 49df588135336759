import type { BlobReference } from '@zk0/core';
import { StorageError, type BlobStore } from '@zk0/storage';
import type { FederationConnection, TransferHooks } from './connection.ts';

/**
 * Brings a blob of the server into this client's store. A copy that is there already and turns out damaged (the store of a client is
 * not forced to disk, so a power cut may do that) is fetched again, once.
 *
 * @returns where it lies, its bytes verified.
 * @throws StorageError `BLOB_DAMAGED` when the fresh copy is damaged too; whatever the connection throws.
 */
export async function fetchBlob(
  blob: BlobReference,
  { connection, blobs }: { readonly connection: Pick<FederationConnection, 'download'>; readonly blobs: BlobStore },
  hooks: TransferHooks,
): Promise<string> {
  const download = (): Promise<void> => connection.download(blob.hash, blob.byteLength, blobs, hooks);
  await download();
  try {
    return await blobs.verifiedFile(blob);
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'BLOB_DAMAGED') throw error;
  }
  await download();
  return blobs.verifiedFile(blob);
}
