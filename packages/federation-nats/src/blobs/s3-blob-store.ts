import type { BlobReference } from '@zk0/core';
import {
  assertHash,
  isPassingStorageError,
  openBlobStore,
  StorageError,
  type BlobReader,
  type BlobStore,
  type BlobStoreLimits,
  type ByteRange,
  type CollectReport,
  type UploadOptions,
} from '@zk0/storage';
import type { S3Address } from './s3-address.ts';
import { S3Bucket } from './s3-bucket.ts';

/** How often a download that is cut goes on from there. */
const MAX_CUTS = 5;
/** What is to be kept is known for so long, in ms: after that, nothing more is removed. */
const KEEP_HOLDS_MS = 30_000;
/** Owner of downloads into the cache. */
const DOWNLOADS = 'bucket';

/** How a store is opened. */
export interface S3BlobStoreOptions extends BlobStoreLimits {
  /** A folder of this process alone: what arrives, and copies of what is in the bucket. The limits are its. */
  readonly cacheDirectory: string;
}

/** A blob store in a bucket. */
export interface S3BlobStore extends BlobStore {
  /** Ends what is under way with the bucket. */
  close(): void;
}

/**
 * Opens a bucket as a blob store. Blobs are objects `sha256/<hash>`, so any HTTP cache before the bucket can serve them; uploads arrive in a
 * local folder, and count when the bucket has them.
 *
 * @throws BackendError `BACKEND_REFUSED`, `BACKEND_UNSUITABLE`; StorageError `STORE_UNREACHABLE`, or of the folder
 */
export async function openS3BlobStore(address: S3Address, { cacheDirectory, ...limits }: S3BlobStoreOptions): Promise<S3BlobStore> {
  const bucket = new S3Bucket(address);
  try {
    await bucket.check();
    await bucket.dropAbandoned();
    // Everything in the cache can be had again: what a power cut damages is found by its hash.
    return new BucketBlobStore(bucket, await openBlobStore(cacheDirectory, { ...limits, durable: false }));
  } catch (error) {
    bucket.close();
    throw error;
  }
}

class BucketBlobStore implements S3BlobStore {
  readonly isRemote = true;
  readonly #bucket: S3Bucket;
  readonly #cache: BlobStore;
  /** What is being stored or fetched: whoever wants the same waits for it. */
  readonly #storing = new Map<string, Promise<void>>();
  readonly #fetching = new Map<string, Promise<string>>();
  /** Since when this process has known each object as it is, by a clock that nobody sets. */
  readonly #known = new Map<string, { readonly stored: number; readonly since: number }>();

  constructor(bucket: S3Bucket, cache: BlobStore) {
    this.#bucket = bucket;
    this.#cache = cache;
  }

  async has(hash: string): Promise<boolean> {
    return (await this.size(hash)) !== null;
  }

  async size(hash: string): Promise<number | null> {
    assertHash(hash);
    return this.#bucket.size(hash);
  }

  /** Where the copy in the cache is, or would be. */
  path(hash: string): string {
    return this.#cache.path(hash);
  }

  async localFile(blob: BlobReference): Promise<string> {
    return (await this.#cache.has(blob.hash)) ? this.#cache.path(blob.hash) : this.#fetched(blob);
  }

  async verifiedFile(blob: BlobReference): Promise<string> {
    if (await this.#cache.has(blob.hash)) {
      try {
        return await this.#cache.verifiedFile(blob);
      } catch (error) {
        // The copy is damaged, and not there any more: the bucket has another.
        if (!(error instanceof StorageError) || (error.code !== 'BLOB_DAMAGED' && error.code !== 'BLOB_NOT_FOUND')) throw error;
      }
    }
    return this.#fetched(blob);
  }

  async openRead(hash: string, range?: ByteRange): Promise<BlobReader> {
    if (await this.#cache.has(hash)) return this.#cache.openRead(hash, range);
    const size = await this.#bucket.size(hash);
    if (size === null) throw notFound(hash);
    const { start, end } = range ?? { start: 0, end: size };
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || start > end || end > size) {
      throw new StorageError('BLOB_RANGE', `blob ${hash}: bytes ${start}…${end} of ${size}`);
    }
    return new RemoteReader(this.#bucket, hash, { start, end });
  }

  async put(bytes: Uint8Array): Promise<BlobReference> {
    const blob = await this.#cache.put(bytes);
    await this.#stored(blob);
    return blob;
  }

  async putFile(path: string, written?: BlobReference): Promise<BlobReference> {
    const blob = await this.#cache.putFile(path, written);
    await this.#stored(blob);
    return blob;
  }

  async beginUpload(blob: BlobReference, options?: UploadOptions): Promise<number> {
    const size = await this.size(blob.hash);
    if (size === null) {
      // A copy that did not get into the bucket: `finish` brings it there.
      return this.#cache.beginUpload(blob, options);
    }
    assertSize(blob, size);
    return blob.byteLength;
  }

  async append(blob: BlobReference, offset: number, chunks: AsyncIterable<Uint8Array>, options?: UploadOptions): Promise<number> {
    return this.#cache.append(blob, offset, chunks, options);
  }

  async finish(blob: BlobReference, options?: UploadOptions): Promise<void> {
    try {
      await this.#cache.finish(blob, options);
    } catch (error) {
      // Another process has brought the same into the bucket.
      if (!(error instanceof StorageError) || error.code !== 'UPLOAD_INCOMPLETE' || (await this.size(blob.hash)) !== blob.byteLength) throw error;
      await this.#bucket.touch(blob.hash);
      return;
    }
    await this.#stored(blob);
  }

  discardUpload(blob: BlobReference, options?: UploadOptions): Promise<void> {
    return this.#cache.discardUpload(blob, options);
  }

  /**
   * Removes what is neither kept nor young. An object's age is how long this process has seen it as it is: no two clocks are compared, and
   * what a server has just seen for the first time is never old.
   */
  async collect(keep: ReadonlySet<string>, { minimumAgeMs = 0 }: { readonly minimumAgeMs?: number } = {}): Promise<CollectReport> {
    const begun = performance.now();
    let [removed, bytes] = [0, 0];
    const seen = new Set<string>();
    for await (const object of this.#bucket.list()) {
      const { hash, stored } = object;
      seen.add(hash);
      const known = this.#known.get(hash);
      const since = known?.stored === stored ? known.since : begun;
      this.#known.set(hash, { stored, since });
      if (keep.has(hash) || begun - since < minimumAgeMs) continue;
      // A process that stood still does not know any more what is needed.
      if (performance.now() - begun > KEEP_HOLDS_MS) break;
      await this.#bucket.remove(hash);
      this.#known.delete(hash);
      removed++;
      bytes += object.bytes;
    }
    for (const hash of this.#known.keys()) if (!seen.has(hash)) this.#known.delete(hash);
    await this.#cache.collect(keep, { minimumAgeMs });
    return { removed, bytes };
  }

  close(): void {
    this.#bucket.close();
  }

  /** Brings what the cache has into the bucket, or makes its age there start anew. */
  #stored(blob: BlobReference): Promise<void> {
    return once(this.#storing, blob.hash, async () => {
      const size = await this.#bucket.size(blob.hash);
      if (size !== null) assertSize(blob, size);
      if (size !== null && (await this.#bucket.touch(blob.hash))) return;
      await this.#bucket.putFile(this.#cache.path(blob.hash), blob);
    });
  }

  /** Brings what the bucket has into the cache, hashed on its way. */
  #fetched(blob: BlobReference): Promise<string> {
    return once(this.#fetching, blob.hash, async () => {
      const { hash, byteLength } = blob;
      const size = await this.size(hash);
      if (size === null) throw notFound(hash);
      assertSize(blob, size);
      const owner = { owner: DOWNLOADS };
      for (let cuts = 0; ; cuts++) {
        const offset = await this.#cache.beginUpload(blob, owner);
        if (offset === byteLength) break;
        const reader = new RemoteReader(this.#bucket, hash, { start: offset, end: byteLength });
        try {
          await this.#cache.append(blob, offset, reader, owner);
        } catch (error) {
          if (cuts === MAX_CUTS || !isPassingStorageError(error)) throw error;
        } finally {
          await reader.close();
        }
      }
      try {
        await this.#cache.finish(blob, owner);
      } catch (error) {
        if (!(error instanceof StorageError) || error.code !== 'HASH_MISMATCH') throw error;
        await this.#bucket.setAside(hash);
        throw new StorageError('BLOB_DAMAGED', `${this.#bucket.text}: the object sha256/${hash} has changed since it was stored (its bytes no longer have the hash that it is named by)`, {
          cause: error,
          hint: `Check who writes to the bucket; what was found is in damaged/${hash}.`,
        });
      }
      return this.#cache.path(hash);
    });
  }
}

/** Reads a range of an object; the request is made when the first chunk is asked for. */
class RemoteReader implements BlobReader {
  readonly #bucket: S3Bucket;
  readonly #hash: string;
  readonly #range: ByteRange;
  readonly #closing = new AbortController();

  constructor(bucket: S3Bucket, hash: string, range: ByteRange) {
    this.#bucket = bucket;
    this.#hash = hash;
    this.#range = range;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const { start, end } = this.#range;
    if (this.#closing.signal.aborted) throw new StorageError('FILE_UNREADABLE', `blob ${this.#hash}: its reader is closed`);
    let left = end - start;
    if (left === 0) return;
    try {
      for await (const chunk of await this.#bucket.read(this.#hash, start, end, this.#closing.signal)) {
        left -= chunk.byteLength;
        yield chunk;
      }
      if (left !== 0) throw new StorageError('STORE_UNREACHABLE', `${this.#bucket.text}: ${left} bytes of blob ${this.#hash} did not come`, { hint: 'Check the network and the S3 server.' });
    } finally {
      await this.close();
    }
  }

  close(): Promise<void> {
    this.#closing.abort();
    return Promise.resolve();
  }
}

/** Does something once for all who want it at the same time. */
function once<T>(running: Map<string, Promise<T>>, key: string, work: () => Promise<T>): Promise<T> {
  const known = running.get(key);
  if (known !== undefined) return known;
  const started = work().finally(() => running.delete(key));
  running.set(key, started);
  return started;
}

function assertSize({ hash, byteLength }: BlobReference, size: number): void {
  if (size !== byteLength) throw new StorageError('HASH_MISMATCH', `blob ${hash} has ${size} bytes in the bucket, not ${byteLength}`);
}

function notFound(hash: string): StorageError {
  return new StorageError('BLOB_NOT_FOUND', `no blob ${hash} in the store`);
}
