import { createHash, type Hash } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileError, PartialFile, syncDirectory } from '@zk0/storage';
import type { HubFile } from '../repository-files.ts';
import { BlobLock } from './blob-lock.ts';
import { sizeOf, type CacheLayout } from './layout.ts';

/** Fills a partial file, from its offset on, with verified content; throws when it cannot. */
export type Receive = (partial: PartialFile) => Promise<void>;

/**
 * Brings a file's content into the cache, under its etag.
 *
 * Until it is whole and verified it has another name, ending in `.incomplete`; interrupted, it is left as
 * `<etag>.incomplete`, where the next call, or an older huggingface_hub, goes on.
 *
 * @returns the blob's path, and whether this call brought it.
 * @throws StorageError, CancelledError, and what `receive` throws.
 */
export async function bringBlob(
  layout: CacheLayout,
  file: HubFile,
  receive: Receive,
  signal?: AbortSignal,
): Promise<{ readonly path: string; readonly isNew: boolean }> {
  const path = join(layout.blobs, file.etag);
  const isThere = async (): Promise<boolean> => (await sizeOf(path)) === file.size;
  if (await isThere()) return { path, isNew: false };
  await mkdir(layout.blobs, { recursive: true }).catch((error: unknown) => {
    throw fileError('write', layout.blobs, error);
  });
  const lock = await BlobLock.acquire(join(layout.locks, `${file.etag}.zk0.lock`), file.etag, isThere, signal);
  if (lock === null) return { path, isNew: false };
  const partial = join(layout.blobs, lock.partial);
  const atRest = `${path}.incomplete`;
  try {
    await inherit([...(lock.inherited === undefined ? [] : [join(layout.blobs, lock.inherited)]), atRest], partial);
    await receive(await PartialFile.open(partial, file.size, () => etagHash(file)));
    await publish(partial, path);
    return { path, isNew: true };
  } catch (error) {
    await leave(partial, atRest);
    throw error;
  } finally {
    await lock.release();
  }
}

/** The first of the files that is there goes on under the new name; the others are not needed any more. */
async function inherit(from: readonly string[], to: string): Promise<void> {
  for (const path of from) {
    const isTaken = (await sizeOf(to)) !== null;
    if (isTaken) await rm(path, { force: true });
    else await rename(path, to).catch(ignoreMissing);
  }
}

/** Gives verified content its final name. */
async function publish(partial: string, path: string): Promise<void> {
  try {
    await rename(partial, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    throw fileError('write', path, error);
  }
}

/** Keeps what arrived, for whoever goes on. */
async function leave(partial: string, atRest: string): Promise<void> {
  if (((await sizeOf(partial)) ?? 0) > 0) await rename(partial, atRest).catch(() => undefined);
  await rm(partial, { force: true });
}

/** SHA-256 for large files; for others git's hash of a blob, which covers its size too. */
function etagHash({ etag, size }: HubFile): Hash {
  return etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
