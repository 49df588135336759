import { createHash } from 'node:crypto';
import { open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobReference } from '@zk0/core';
import { syncDirectory } from './atomic.ts';
import { assertSize, linkOrCopy, syncFile, writeNew } from './blob-files.ts';
import { FileReader } from './blob-reader.ts';
import { assertHash, type BlobReader, type BlobStore, type ByteRange, type CollectReport, type UploadOptions } from './blob-store.ts';
import { Budget, type BlobStoreLimits } from './budget.ts';
import { fileError, StorageError } from './errors.ts';
import { makeDirectory } from './make-directory.ts';
import { hashFile } from './hash.ts';
import { KnownFiles } from './known-files.ts';
import { removeStaleTemporaries, temporaryPath } from './temporary.ts';
import { Uploads } from './uploads.ts';

/** Blobs that were found damaged are kept for so long, for whoever wants to know what happened to them. */
const DAMAGED_KEPT_MS = 24 * 3600_000;

/**
 * Opens a folder as a blob store, making it if missing: `sha256/<hash>` are the blobs, `uploads/` holds what is arriving, `damaged/`
 * what was found to be so. Leftovers of processes that died are removed. One process at a time writes to a store; others may read.
 *
 * @throws StorageError `FILE_UNWRITABLE` when the folder cannot be used.
 */
export async function openBlobStore(directory: string, options: BlobStoreOptions = {}): Promise<BlobStore> {
  const store = new DirectoryBlobStore(directory, options);
  await store.open();
  return store;
}

/** How a store is opened. */
export interface BlobStoreOptions extends BlobStoreLimits {
  /**
   * Whether bytes are forced to disk before they count. False for a cache of what can be had again: it saves a wait for the disk at
   * every blob, and what a power cut damages is found by `verifiedFile`.
   * @default true
   */
  readonly durable?: boolean;
}

interface StoredFile {
  readonly path: string;
  readonly hash: string;
  readonly bytes: number;
  readonly modified: number;
}

class DirectoryBlobStore implements BlobStore {
  readonly #blobs: string;
  readonly #uploadDirectory: string;
  readonly #damaged: string;
  readonly #budget: Budget;
  readonly #uploads: Uploads;
  readonly #durable: boolean;
  readonly #known = new KnownFiles();
  /** Blobs get their names one after another, so that each is counted once. */
  #naming: Promise<unknown> = Promise.resolve();

  constructor(directory: string, { durable = true, ...limits }: BlobStoreOptions) {
    this.#blobs = join(directory, 'sha256');
    this.#uploadDirectory = join(directory, 'uploads');
    this.#damaged = join(directory, 'damaged');
    this.#budget = new Budget(limits);
    this.#durable = durable;
    this.#uploads = new Uploads(this.#uploadDirectory, this.#budget, durable);
  }

  async open(): Promise<void> {
    try {
      for (const path of [this.#blobs, this.#uploadDirectory, this.#damaged]) makeDirectory(path);
      await removeStaleTemporaries(this.#blobs);
      for (const { bytes } of [...(await list(this.#blobs)), ...(await list(this.#damaged))]) this.#budget.found(bytes);
      await this.#uploads.load();
    } catch (error) {
      throw fileError('write', this.#blobs, error);
    }
  }

  path(hash: string): string {
    assertHash(hash);
    return join(this.#blobs, hash);
  }

  localFile({ hash }: BlobReference): Promise<string> {
    return Promise.resolve().then(() => this.path(hash));
  }

  async has(hash: string): Promise<boolean> {
    return (await this.size(hash)) !== null;
  }

  async size(hash: string): Promise<number | null> {
    const path = this.path(hash);
    try {
      return (await stat(path)).size;
    } catch (error) {
      if (isNotFound(error)) return null;
      throw fileError('read', path, error);
    }
  }

  async verifiedFile({ hash, byteLength }: BlobReference): Promise<string> {
    const path = this.path(hash);
    if ((await this.size(hash)) === null) throw new StorageError('BLOB_NOT_FOUND', `no blob ${hash} in the store`);
    const found = (await this.#known.isUnchanged(path, byteLength)) ? { hash, byteLength } : await this.#known.hashed(path, () => hashFile(path));
    if (found.hash === hash) {
      if (found.byteLength === byteLength) return path;
      throw new StorageError('HASH_MISMATCH', `blob ${hash} has ${found.byteLength} bytes here, not ${byteLength}`);
    }
    await rename(path, join(this.#damaged, hash)).catch((error: unknown) => {
      if (!isNotFound(error)) throw fileError('write', path, error);
    });
    throw new StorageError('BLOB_DAMAGED', `${path}: the file has changed since it was stored (its bytes no longer have the hash that it is named by)`, {
      hint: `Check the disk and the memory of this machine; what was found is in ${this.#damaged} for a day.`,
    });
  }

  async openRead(hash: string, range?: ByteRange): Promise<BlobReader> {
    const path = this.path(hash);
    const handle = await open(path, 'r').catch((error: unknown) => {
      if (isNotFound(error)) throw new StorageError('BLOB_NOT_FOUND', `no blob ${hash} in the store`);
      throw fileError('read', path, error);
    });
    try {
      const { size } = await handle.stat();
      const { start, end } = range ?? { start: 0, end: size };
      if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || start > end || end > size) {
        throw new StorageError('BLOB_RANGE', `blob ${hash}: bytes ${start}…${end} of ${size}`);
      }
      return new FileReader(handle, path, { start, end });
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async put(bytes: Uint8Array): Promise<BlobReference> {
    const blob = { hash: createHash('sha256').update(bytes).digest('hex'), byteLength: bytes.byteLength };
    return this.#store(blob, (temporary) => writeNew(temporary, bytes, this.#durable));
  }

  async putFile(path: string, written?: BlobReference): Promise<BlobReference> {
    if (written !== undefined) await assertSize(path, written);
    const blob = written ?? (await hashFile(path));
    return this.#store(blob, async (temporary) => {
      await linkOrCopy(path, temporary);
      if (this.#durable) await syncFile(temporary);
    });
  }

  async beginUpload(blob: BlobReference, options: UploadOptions = {}): Promise<number> {
    if (await this.#touch(blob)) {
      await this.#uploads.discard(blob, options);
      return blob.byteLength;
    }
    const upload = await this.#uploads.get(blob, options);
    upload.touched = Date.now();
    return upload.offset;
  }

  async append(blob: BlobReference, offset: number, chunks: AsyncIterable<Uint8Array>, options: UploadOptions = {}): Promise<number> {
    if (await this.has(blob.hash)) {
      throw new StorageError('UPLOAD_OFFSET', `blob ${blob.hash} is complete: nothing is to be sent`);
    }
    const upload = await this.#uploads.get(blob, options);
    return upload.append(offset, chunks);
  }

  async finish(blob: BlobReference, options: UploadOptions = {}): Promise<void> {
    if (await this.#touch(blob)) {
      await this.#uploads.discard(blob, options);
      return;
    }
    const upload = await this.#uploads.get(blob, options);
    if (upload.offset < blob.byteLength) {
      if (await this.#touch(blob)) return this.#uploads.discard(blob, options);
      throw new StorageError('UPLOAD_INCOMPLETE', `upload ${blob.hash} has ${upload.offset} of ${blob.byteLength} bytes`);
    }
    try {
      const digest = await upload.digest();
      if (digest !== blob.hash) {
        await this.#uploads.discard(blob, options);
        throw new StorageError('HASH_MISMATCH', `upload ${blob.hash}: the bytes that arrived have hash ${digest}`, {
          hint: 'Send it again; if it happens again, the sender’s file is damaged.',
        });
      }
      await this.#name(upload.path, blob.hash, (isNew) => {
        this.#uploads.settled(blob, options, isNew);
      });
    } catch (error) {
      const typed = fileError('write', upload.path, error);
      // Of two requests that finish at once, the second finds the partial file gone and the blob there.
      if (typed.code !== 'FILE_NOT_FOUND' || !(await this.has(blob.hash))) throw typed;
    }
  }

  async discardUpload(blob: BlobReference, options: UploadOptions = {}): Promise<void> {
    assertHash(blob.hash);
    await this.#uploads.discard(blob, options);
  }

  async collect(keep: ReadonlySet<string>, options: { readonly minimumAgeMs?: number } = {}): Promise<CollectReport> {
    const now = Date.now();
    let removed = 0;
    let freed = 0;
    const remove = async ({ path, bytes }: StoredFile): Promise<void> => {
      await rm(path, { force: true });
      this.#budget.free(bytes);
      removed++;
      freed += bytes;
    };
    try {
      for (const file of await list(this.#blobs)) {
        if (!keep.has(file.hash) && file.modified <= now - (options.minimumAgeMs ?? 0)) await remove(file);
      }
      for (const file of await list(this.#damaged)) if (file.modified <= now - DAMAGED_KEPT_MS) await remove(file);
    } catch (error) {
      throw fileError('write', this.#blobs, error);
    }
    await this.#uploads.dropIdle(this.#budget.uploadIdleMs);
    return { removed, bytes: freed };
  }

  /** Makes a blob from what `write` puts under a temporary name. */
  async #store(blob: BlobReference, write: (temporary: string) => Promise<void>): Promise<BlobReference> {
    if (await this.#touch(blob)) return blob;
    this.#budget.assertBlobSize(blob);
    if (!this.#budget.store(blob.byteLength)) {
      await this.#uploads.reclaim();
      if (!this.#budget.store(blob.byteLength)) throw this.#budget.fullError(blob, 'bytes', '');
    }
    const target = this.path(blob.hash);
    const temporary = temporaryPath(target);
    const outcome = { isStored: false };
    try {
      await write(temporary);
      await this.#name(temporary, blob.hash, (isNew) => {
        outcome.isStored = isNew;
      });
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw fileError('write', target, error);
    } finally {
      // Another may have stored the same meanwhile, and counted it.
      if (!outcome.isStored) this.#budget.free(blob.byteLength);
    }
    return blob;
  }

  /** Gives complete bytes their name, or drops them when the blob is there already; `onDone` says which, at once. */
  #name(from: string, hash: string, onDone: (isNew: boolean) => void): Promise<void> {
    const naming = this.#naming.then(async () => {
      const isNew = !(await this.has(hash));
      if (isNew) await rename(from, this.path(hash));
      else await rm(from);
      onDone(isNew);
      if (isNew) await this.#known.add(this.path(hash));
      if (this.#durable) await syncDirectory(this.#blobs);
    });
    this.#naming = naming.catch(() => undefined);
    return naming;
  }

  /** Whether the blob is here, of this size; its age starts anew, so that a collection soon after leaves it alone. */
  async #touch({ hash, byteLength }: BlobReference): Promise<boolean> {
    const size = await this.size(hash);
    if (size === null) return false;
    if (size !== byteLength) {
      throw new StorageError('HASH_MISMATCH', `blob ${hash} has ${size} bytes here, not ${byteLength}`);
    }
    const now = new Date();
    await utimes(this.path(hash), now, now).catch(() => undefined);
    return true;
  }
}

async function list(directory: string): Promise<StoredFile[]> {
  const found: StoredFile[] = [];
  for (const hash of await readdir(directory)) {
    if (!/^[0-9a-f]{64}$/.test(hash)) continue;
    const path = join(directory, hash);
    // Another collection may have been quicker.
    const stats = await stat(path).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
    if (stats !== undefined) found.push({ path, hash, bytes: stats.size, modified: stats.mtimeMs });
  }
  return found;
}

function isNotFound(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
