import type { BlobReference } from '@zk0/core';
import { StorageError } from './errors.ts';

/** A byte range, `end` exclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The bytes of a blob, or of a range of it, to be read once. */
export interface BlobReader extends AsyncIterable<Uint8Array> {
  /**
   * The bytes in order. Memory is used again: a chunk holds until the one after the next is asked for, and whoever keeps it longer copies
   * it. Reading to the end, or stopping early, closes the reader.
   *
   * @throws StorageError when the bytes cannot be read, `FILE_UNREADABLE` also after {@link close}
   */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array>;
  /** Gives back what is open, also while a chunk is being read. May be called again. */
  close(): Promise<void>;
}

/** What {@link BlobStore.collect} removed. */
export interface CollectReport {
  readonly removed: number;
  readonly bytes: number;
}

/** Whose an upload is. */
export interface UploadOptions {
  /**
   * The sender, as it was authenticated. Limits apply to each owner, and each has uploads of its own, even of the same blob, so that none
   * can use up or spoil another's. Give the same owner to all three calls; without one only the limits of the whole store apply.
   */
  readonly owner?: string;
}

/**
 * Bytes addressed by their SHA-256 (64 lower-case hex digits): a blob never changes, and whoever holds the address can
 * check the bytes. A blob is there whole or not at all.
 *
 * {@link openBlobStore} keeps them as files in a folder. `@zk0/federation-nats` keeps them in an S3-compatible store, where
 * {@link BlobStore.path} is a place in its local cache: `openRead` is a ranged GET, `put`, `putFile` and the end of an upload a PUT (multipart
 * where they are large) that a crash leaves without effect, `collect` a listing with DELETEs, and {@link BlobStore.verifiedFile} a
 * download into the cache, hashed on its way. `@zk0/storage/testing` has the tests that every implementation passes.
 *
 * Every method that takes a hash throws StorageError `HASH_INVALID` for anything else, and any may throw one of those that
 * `isPassingStorageError` tells: then the same call may succeed later.
 */
export interface BlobStore {
  /** Whether blobs are elsewhere, so that reading a range costs less than a local file. */
  readonly isRemote?: boolean;
  has(hash: string): Promise<boolean>;
  /** Size in bytes, `null` when the store has no such blob. */
  size(hash: string): Promise<number | null>;
  /**
   * Where the blob is (or would be) as a file of the embedded store; read it, never write it. Nobody has looked at the bytes since they
   * were stored. A remote store has no such place: use {@link verifiedFile}, {@link localFile}, or {@link openRead}.
   */
  path(hash: string): string;
  /**
   * A local file with the blob's bytes, for whoever reads what was hashed a moment ago, as it arrived. The embedded store says where it is
   * (or would be) without looking; one that is elsewhere downloads the blob to its cache if it is not there, hashed on its way.
   *
   * @returns the path; read it, never write it.
   * @throws StorageError `BLOB_NOT_FOUND`, `BLOB_DAMAGED` by a store that is elsewhere
   */
  localFile(blob: BlobReference): Promise<string>;
  /**
   * A local file with the blob's bytes, which have been hashed: just now, or less than a minute ago if nobody has written to the file
   * since. For whoever computes with them; it stays until the blob is collected. The hash is made on another thread where the file is
   * large; a store that is elsewhere downloads the blob to a cache first.
   *
   * @returns the path; read it, never write it.
   * @throws StorageError `BLOB_NOT_FOUND`; `BLOB_DAMAGED` when the bytes are not those of the hash. The store does not have the blob any
   *   more then, so that it can be sent again; what was found lies aside for a day.
   */
  verifiedFile(blob: BlobReference): Promise<string>;
  /**
   * Opens a blob, or a range of it, for reading; the caller reads to the end, or closes.
   *
   * @throws StorageError `BLOB_NOT_FOUND`, `BLOB_RANGE`
   */
  openRead(hash: string, range?: ByteRange): Promise<BlobReader>;

  /** Stores bytes; stores nothing when they are there already. @throws StorageError `BLOB_TOO_LARGE`, `STORE_FULL`, … */
  put(bytes: Uint8Array): Promise<BlobReference>;
  /**
   * Stores a file; the embedded store by hard link, or by copy across file systems. The file must not be changed in place afterwards.
   *
   * @param written What this process got from the file's writer (`SafetensorsWriter.commit`), which hashed it as it was written: then
   * it is not read again. Never a hash that somebody else claims: that is what uploads are for.
   * @throws StorageError `HASH_MISMATCH` when the file has another size than was written, `BLOB_TOO_LARGE`, `STORE_FULL`, …
   */
  putFile(path: string, written?: BlobReference): Promise<BlobReference>;

  /**
   * Starts an upload, or finds where one stands, also after a restart. An owner that has as many uploads as it may have loses the one
   * that stood still longest, for the new one.
   *
   * @returns how many bytes are there; all of them when the store has the blob.
   * @throws StorageError `BLOB_TOO_LARGE`, `STORE_FULL`, `UPLOAD_QUOTA`; `HASH_MISMATCH` when the store's blob has another size.
   */
  beginUpload(blob: BlobReference, options?: UploadOptions): Promise<number>;
  /**
   * Continues an upload. Bytes are written and hashed as they arrive; what has arrived stays when the stream fails.
   * A newer append takes over from one still waiting for its peer. A chunk is read before the next one is asked for, and not after: its
   * owner may use its memory again.
   *
   * @returns how many bytes are there now.
   * @throws StorageError `UPLOAD_OFFSET` when `offset` is not where the upload stands, `UPLOAD_TOO_LONG`,
   * `UPLOAD_TAKEN_OVER`; whatever `chunks` throws.
   */
  append(blob: BlobReference, offset: number, chunks: AsyncIterable<Uint8Array>, options?: UploadOptions): Promise<number>;
  /**
   * Checks the hash of a complete upload and makes it a blob. Does nothing when the store has it.
   *
   * @throws StorageError `UPLOAD_INCOMPLETE`; `HASH_MISMATCH`, after which the bytes are gone.
   */
  finish(blob: BlobReference, options?: UploadOptions): Promise<void>;
  /** Gives an upload up: what has arrived is removed. Does nothing where there is none, and never touches a blob. */
  discardUpload(blob: BlobReference, options?: UploadOptions): Promise<void>;

  /** Removes every blob not in `keep` and at least `minimumAgeMs` old (0 when absent), and uploads left alone for long. */
  collect(keep: ReadonlySet<string>, options?: { readonly minimumAgeMs?: number }): Promise<CollectReport>;
}

const HASH = /^[0-9a-f]{64}$/;

/** @throws StorageError `HASH_INVALID`: hashes name files, so nothing else may pass. */
export function assertHash(hash: string): void {
  if (!HASH.test(hash)) {
    throw new StorageError('HASH_INVALID', `${JSON.stringify(hash.slice(0, 80))} is not a SHA-256 in 64 lower-case hex digits`);
  }
}
