import type { Readable } from 'node:stream';
import type { BlobReference } from '@zk0/core';
import { StorageError } from './errors.ts';

/** A byte range, `end` exclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** What {@link BlobStore.collect} removed. */
export interface CollectReport {
  readonly removed: number;
  readonly bytes: number;
}

/**
 * Bytes addressed by their SHA-256 (64 lower-case hex digits): a blob never changes, and whoever holds the address can
 * check the bytes. A blob is there whole or not at all.
 *
 * {@link openBlobStore} keeps them as files in a folder; an object store can implement the same.
 * Every method that takes a hash throws StorageError `HASH_INVALID` for anything else.
 */
export interface BlobStore {
  has(hash: string): Promise<boolean>;
  /** Size in bytes, `null` when the store has no such blob. */
  size(hash: string): Promise<number | null>;
  /** Where the blob is (or would be) as a local file; read it, never write it. */
  path(hash: string): string;
  /**
   * Streams a blob, or a range of it.
   *
   * @throws StorageError `BLOB_NOT_FOUND`, `BLOB_RANGE`
   */
  openRead(hash: string, range?: ByteRange): Promise<Readable>;

  /** Stores bytes; stores nothing when they are there already. @throws StorageError `BLOB_TOO_LARGE`, `STORE_FULL`, … */
  put(bytes: Uint8Array): Promise<BlobReference>;
  /**
   * Stores a file by hard link, or by copy across file systems. The file must not be changed in place afterwards.
   *
   * @param written What this process got from the file's writer (`SafetensorsWriter.commit`), which hashed it as it was written: then
   * it is not read again. Never a hash that somebody else claims: that is what uploads are for.
   * @throws StorageError `HASH_MISMATCH` when the file has another size than was written, `BLOB_TOO_LARGE`, `STORE_FULL`, …
   */
  putFile(path: string, written?: BlobReference): Promise<BlobReference>;

  /**
   * Starts an upload, or finds where one stands, also after a restart.
   *
   * @returns how many bytes are there; all of them when the store has the blob.
   * @throws StorageError `BLOB_TOO_LARGE`, `STORE_FULL`; `HASH_MISMATCH` when the store's blob has another size.
   */
  beginUpload(blob: BlobReference): Promise<number>;
  /**
   * Continues an upload. Bytes are written and hashed as they arrive; what has arrived stays when the stream fails.
   * A newer append takes over from one still waiting for its peer.
   *
   * @returns how many bytes are there now.
   * @throws StorageError `UPLOAD_OFFSET` when `offset` is not where the upload stands, `UPLOAD_TOO_LONG`,
   * `UPLOAD_TAKEN_OVER`; whatever `chunks` throws.
   */
  append(blob: BlobReference, offset: number, chunks: AsyncIterable<Uint8Array>): Promise<number>;
  /**
   * Checks the hash of a complete upload and makes it a blob. Does nothing when the store has it.
   *
   * @throws StorageError `UPLOAD_INCOMPLETE`; `HASH_MISMATCH`, after which the bytes are gone.
   */
  finish(blob: BlobReference): Promise<void>;
  /** Gives an upload up: what has arrived is removed. Does nothing where there is none, and never touches a blob. */
  discardUpload(blob: BlobReference): Promise<void>;

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
