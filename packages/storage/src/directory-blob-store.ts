import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { BlobReference } from '@zk0/core';
import { syncDirectory, writeAtomically } from './atomic.ts';
import { assertHash, type BlobStore, type ByteRange, type CollectReport } from './blob-store.ts';
import { fileError, StorageError } from './errors.ts';
import { hashFile } from './hash.ts';
import { CHUNK_BYTES, writeFully } from './io.ts';
import { removeStaleTemporaries, temporaryPath } from './temporary.ts';
import { Upload } from './upload.ts';

/** A float32 set of 450 M parameters is 1.8 GB; this leaves room for larger models and bounds a hostile claim. */
export const DEFAULT_MAX_BLOB_BYTES = 16 * 2 ** 30;
/** Uploads that nobody continued for a day are given up. */
export const DEFAULT_UPLOAD_IDLE_MS = 24 * 3600_000;
/** Uploads under way or left alone at one time: an announcement costs its sender nothing. */
export const DEFAULT_MAX_UPLOADS = 4096;
/** When the budget is short, an upload that stood still this long makes room for a living one. */
const RECLAIM_IDLE_MS = 10 * 60_000;
const PARTIAL = /^(?<hash>[0-9a-f]{64})-(?<size>\d{1,16})\.part$/;

/** How much a store may hold. */
export interface BlobStoreLimits {
  /** Bytes of one blob. */
  readonly maxBlobBytes?: number;
  /** Bytes of all blobs and announced uploads together; the disk is the limit when absent. */
  readonly maxTotalBytes?: number;
  /** Uploads begun and not finished. */
  readonly maxUploads?: number;
  /** How long an upload may stand still before `collect` removes it. */
  readonly uploadIdleMs?: number;
}

/**
 * Opens a folder as a blob store, making it if missing: `sha256/<hash>` are the blobs, `uploads/` holds what is arriving.
 * Leftovers of processes that died are removed. One process at a time writes to a store; others may read.
 *
 * @throws StorageError `FILE_UNWRITABLE` when the folder cannot be used.
 */
export async function openBlobStore(directory: string, limits: BlobStoreLimits = {}): Promise<BlobStore> {
  const store = new DirectoryBlobStore(directory, limits);
  await store.open();
  return store;
}

class DirectoryBlobStore implements BlobStore {
  readonly #blobs: string;
  readonly #uploadDirectory: string;
  readonly #maxBlobBytes: number;
  readonly #maxTotalBytes: number;
  readonly #maxUploads: number;
  readonly #uploadIdleMs: number;
  readonly #uploads = new Map<string, Promise<Upload>>();
  /** Bytes announced by uploads on disk and in memory, by partial file name. */
  readonly #announced = new Map<string, number>();
  #storedBytes = 0;

  constructor(directory: string, limits: BlobStoreLimits) {
    this.#blobs = join(directory, 'sha256');
    this.#uploadDirectory = join(directory, 'uploads');
    this.#maxBlobBytes = limits.maxBlobBytes ?? DEFAULT_MAX_BLOB_BYTES;
    this.#maxTotalBytes = limits.maxTotalBytes ?? Number.MAX_SAFE_INTEGER;
    this.#maxUploads = limits.maxUploads ?? DEFAULT_MAX_UPLOADS;
    this.#uploadIdleMs = limits.uploadIdleMs ?? DEFAULT_UPLOAD_IDLE_MS;
  }

  async open(): Promise<void> {
    try {
      await mkdir(this.#blobs, { recursive: true });
      await mkdir(this.#uploadDirectory, { recursive: true });
      await removeStaleTemporaries(this.#blobs);
      for (const { bytes } of await this.#list()) this.#storedBytes += bytes;
      for (const name of await readdir(this.#uploadDirectory)) {
        const size = PARTIAL.exec(name)?.groups?.['size'];
        if (size !== undefined) this.#announced.set(name, Number(size));
      }
    } catch (error) {
      throw fileError('write', this.#blobs, error);
    }
  }

  path(hash: string): string {
    assertHash(hash);
    return join(this.#blobs, hash);
  }

  async has(hash: string): Promise<boolean> {
    return (await this.size(hash)) !== null;
  }

  async size(hash: string): Promise<number | null> {
    const path = this.path(hash);
    try {
      return (await stat(path)).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw fileError('read', path, error);
    }
  }

  async openRead(hash: string, range?: ByteRange): Promise<Readable> {
    const path = this.path(hash);
    const handle = await open(path, 'r').catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        throw new StorageError('BLOB_NOT_FOUND', `no blob ${hash} in the store`);
      }
      throw fileError('read', path, error);
    });
    try {
      const { size } = await handle.stat();
      const { start, end } = range ?? { start: 0, end: size };
      if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || start > end || end > size) {
        throw new StorageError('BLOB_RANGE', `blob ${hash}: bytes ${start}…${end} of ${size}`);
      }
      // A read stream's `end` is inclusive: an empty range cannot be said to it.
      if (start < end) return createReadStream(path, { fd: handle, start, end: end - 1, highWaterMark: CHUNK_BYTES });
    } catch (error) {
      await handle.close();
      throw error;
    }
    await handle.close();
    return Readable.from([], { objectMode: false });
  }

  async put(bytes: Uint8Array): Promise<BlobReference> {
    const blob = { hash: createHash('sha256').update(bytes).digest('hex'), byteLength: bytes.byteLength };
    if (await this.#touch(blob)) return blob;
    await this.#admit(blob);
    await writeAtomically(this.path(blob.hash), (file) => writeFully(file, bytes, 0));
    this.#storedBytes += blob.byteLength;
    return blob;
  }

  async putFile(path: string, written?: BlobReference): Promise<BlobReference> {
    if (written !== undefined) await assertSize(path, written);
    const blob = written ?? (await hashFile(path));
    if (await this.#touch(blob)) return blob;
    await this.#admit(blob);
    const target = this.path(blob.hash);
    const temporary = temporaryPath(target);
    try {
      await linkOrCopy(path, temporary);
      await syncFile(temporary);
      await rename(temporary, target);
      await syncDirectory(this.#blobs);
    } catch (error) {
      await rm(temporary, { force: true });
      throw fileError('write', target, error);
    }
    this.#storedBytes += blob.byteLength;
    return blob;
  }

  async beginUpload(blob: BlobReference): Promise<number> {
    if (await this.#touch(blob)) return blob.byteLength;
    const upload = await this.#upload(blob);
    upload.touched = Date.now();
    return upload.offset;
  }

  async append(blob: BlobReference, offset: number, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    if (await this.has(blob.hash)) {
      throw new StorageError('UPLOAD_OFFSET', `blob ${blob.hash} is complete: nothing is to be sent`);
    }
    const upload = await this.#upload(blob);
    return upload.append(offset, chunks);
  }

  async finish(blob: BlobReference): Promise<void> {
    if (await this.#touch(blob)) return;
    const upload = await this.#upload(blob);
    if (upload.offset < blob.byteLength) {
      throw new StorageError('UPLOAD_INCOMPLETE', `upload ${blob.hash} has ${upload.offset} of ${blob.byteLength} bytes`);
    }
    try {
      const digest = await upload.digest();
      if (digest !== blob.hash) {
        await this.#drop(upload);
        throw new StorageError('HASH_MISMATCH', `upload ${blob.hash}: the bytes that arrived have hash ${digest}`, {
          hint: 'Send it again; if it happens again, the sender’s file is damaged.',
        });
      }
      await rename(upload.path, this.path(blob.hash));
      this.#storedBytes += blob.byteLength;
      await syncDirectory(this.#blobs);
    } catch (error) {
      // Of two requests that finish at once, the second finds the partial file gone and the blob there.
      if (!(await this.has(blob.hash))) throw fileError('write', upload.path, error);
    }
    await this.#drop(upload);
  }

  async discardUpload(blob: BlobReference): Promise<void> {
    assertHash(blob.hash);
    const name = partialName(blob);
    // One that could not be opened has left nothing in memory.
    const upload = await this.#uploads.get(name)?.catch(() => undefined);
    if (upload !== undefined) {
      await this.#drop(upload);
    } else if (this.#announced.delete(name)) {
      await rm(join(this.#uploadDirectory, name), { force: true });
    }
  }

  async collect(keep: ReadonlySet<string>, options: { readonly minimumAgeMs?: number } = {}): Promise<CollectReport> {
    const newest = Date.now() - (options.minimumAgeMs ?? 0);
    let removed = 0;
    let freed = 0;
    for (const { hash, bytes, modified } of await this.#list()) {
      if (keep.has(hash) || modified > newest) continue;
      await rm(this.path(hash), { force: true });
      this.#storedBytes -= bytes;
      removed++;
      freed += bytes;
    }
    await this.#dropIdleUploads(this.#uploadIdleMs);
    return { removed, bytes: freed };
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

  /** The upload of this blob: in memory, on disk, or new. Loaded once, however many ask at the same time. */
  async #upload(blob: BlobReference): Promise<Upload> {
    assertHash(blob.hash);
    const name = partialName(blob);
    const known = this.#uploads.get(name);
    if (known !== undefined) return known;
    const loading = (async () => {
      if (!this.#announced.has(name)) await this.#announce(blob);
      return Upload.open({ ...blob }, join(this.#uploadDirectory, name));
    })();
    this.#uploads.set(name, loading);
    try {
      return await loading;
    } catch (error) {
      this.#uploads.delete(name);
      this.#announced.delete(name);
      throw error;
    }
  }

  async #announce(blob: BlobReference): Promise<void> {
    await this.#admit(blob);
    if (this.#announced.size >= this.#maxUploads) await this.#dropIdleUploads(RECLAIM_IDLE_MS);
    if (this.#announced.size >= this.#maxUploads) {
      throw new StorageError('STORE_FULL', `blob ${blob.hash}: ${this.#maxUploads} uploads are under way already`);
    }
    this.#announced.set(partialName(blob), blob.byteLength);
  }

  async #drop(upload: Upload): Promise<void> {
    const name = partialName(upload.blob);
    this.#uploads.delete(name);
    this.#announced.delete(name);
    await rm(upload.path, { force: true });
  }

  async #admit({ hash, byteLength }: BlobReference): Promise<void> {
    if (!Number.isSafeInteger(byteLength) || byteLength < 0 || byteLength > this.#maxBlobBytes) {
      throw new StorageError('BLOB_TOO_LARGE', `blob ${hash} of ${byteLength} bytes: the store takes up to ${this.#maxBlobBytes}`);
    }
    if (this.#fits(byteLength)) return;
    await this.#dropIdleUploads(RECLAIM_IDLE_MS);
    if (this.#fits(byteLength)) return;
    throw new StorageError(
      'STORE_FULL',
      `blob ${hash} of ${byteLength} bytes: the store has ${this.#storedBytes} of ${this.#maxTotalBytes} bytes`,
      { hint: 'Raise the budget, or remove what is no longer needed.' },
    );
  }

  #fits(bytes: number): boolean {
    let total = this.#storedBytes + bytes;
    for (const announced of this.#announced.values()) total += announced;
    return total <= this.#maxTotalBytes;
  }

  async #dropIdleUploads(idleMs: number): Promise<void> {
    const oldest = Date.now() - idleMs;
    for (const name of await readdir(this.#uploadDirectory)) {
      if (!PARTIAL.test(name)) continue;
      const upload = await this.#uploads.get(name);
      const path = join(this.#uploadDirectory, name);
      if (upload === undefined) {
        const modified = (await stat(path).catch(() => undefined))?.mtimeMs;
        if (modified === undefined || modified > oldest) continue;
        this.#announced.delete(name);
        await rm(path, { force: true });
      } else if (!upload.isActive && upload.touched <= oldest) await this.#drop(upload);
    }
  }

  async #list(): Promise<{ hash: string; bytes: number; modified: number }[]> {
    const found: { hash: string; bytes: number; modified: number }[] = [];
    for (const hash of await readdir(this.#blobs)) {
      if (!/^[0-9a-f]{64}$/.test(hash)) continue;
      const { size, mtimeMs } = await stat(join(this.#blobs, hash));
      found.push({ hash, bytes: size, modified: mtimeMs });
    }
    return found;
  }
}

function partialName({ hash, byteLength }: BlobReference): string {
  return `${hash}-${byteLength}.part`;
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    await copyFile(from, to);
  }
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function assertSize(path: string, { hash, byteLength }: BlobReference): Promise<void> {
  const { size } = await stat(path).catch((error: unknown) => {
    throw fileError('read', path, error);
  });
  if (size !== byteLength) throw new StorageError('HASH_MISMATCH', `${path} has ${size} bytes, not the ${byteLength} that were written as ${hash}`);
}
