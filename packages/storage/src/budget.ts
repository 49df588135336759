import type { BlobReference } from '@zk0/core';
import { StorageError } from './errors.ts';

/** A float32 set of 450 M parameters is 1.8 GB; this leaves room for larger models and bounds a hostile claim. */
export const DEFAULT_MAX_BLOB_BYTES = 16 * 2 ** 30;
/** Uploads that nobody continued for a day are given up. */
export const DEFAULT_UPLOAD_IDLE_MS = 24 * 3600_000;
/** Uploads under way or left alone at one time: an announcement costs its sender nothing. */
export const DEFAULT_MAX_UPLOADS = 4096;
/** Of these, one owner's: an update, a control variate, and what earlier attempts left. */
export const DEFAULT_MAX_OWNER_UPLOADS = 8;

/** How much a store may hold. */
export interface BlobStoreLimits {
  /** Bytes of one blob. */
  readonly maxBlobBytes?: number;
  /** Bytes of all blobs and announced uploads together (`--max-disk`); the disk is the limit when absent. */
  readonly maxTotalBytes?: number;
  /** Of these, bytes that uploads cannot have: room for what the process itself stores. 0 by default. */
  readonly reservedBytes?: number;
  /** Uploads begun and not finished. */
  readonly maxUploads?: number;
  /** Of these, those of one owner; uploads without an owner are not bounded by it. */
  readonly maxOwnerUploads?: number;
  /** Bytes that one owner's unfinished uploads may announce together; no limit of its own when absent. */
  readonly maxOwnerBytes?: number;
  /** How long an upload may stand still before `collect` removes it. */
  readonly uploadIdleMs?: number;
}

/** An upload that was announced and is not finished. */
export interface Announcement {
  readonly bytes: number;
  /** Empty where nobody said. */
  readonly owner: string;
}

/** Counts what a store holds and has promised room to. Reserving is one step: two that come at once cannot have the same room. */
export class Budget {
  readonly maxBlobBytes: number;
  readonly #limits: Required<BlobStoreLimits>;
  /** By the name of the partial file. */
  readonly #announced = new Map<string, Announcement>();
  #announcedBytes = 0;
  #storedBytes = 0;

  constructor(limits: BlobStoreLimits) {
    this.#limits = {
      maxBlobBytes: limits.maxBlobBytes ?? DEFAULT_MAX_BLOB_BYTES,
      maxTotalBytes: limits.maxTotalBytes ?? Number.MAX_SAFE_INTEGER,
      reservedBytes: limits.reservedBytes ?? 0,
      maxUploads: limits.maxUploads ?? DEFAULT_MAX_UPLOADS,
      maxOwnerUploads: limits.maxOwnerUploads ?? DEFAULT_MAX_OWNER_UPLOADS,
      maxOwnerBytes: limits.maxOwnerBytes ?? Infinity,
      uploadIdleMs: limits.uploadIdleMs ?? DEFAULT_UPLOAD_IDLE_MS,
    };
    this.maxBlobBytes = this.#limits.maxBlobBytes;
  }

  get uploadIdleMs(): number {
    return this.#limits.uploadIdleMs;
  }

  /** @throws StorageError `BLOB_TOO_LARGE` */
  assertBlobSize({ hash, byteLength }: BlobReference): void {
    if (!Number.isSafeInteger(byteLength) || byteLength < 0 || byteLength > this.maxBlobBytes) {
      throw new StorageError('BLOB_TOO_LARGE', `blob ${hash} of ${byteLength} bytes: the store takes up to ${this.maxBlobBytes}`);
    }
  }

  /** Takes room for a blob; give it back by {@link free} if it does not get there. False when there is none. */
  store(bytes: number): boolean {
    if (this.#storedBytes + this.#announcedBytes + bytes > this.#limits.maxTotalBytes) return false;
    this.#storedBytes += bytes;
    return true;
  }

  free(bytes: number): void {
    this.#storedBytes -= bytes;
  }

  /** What is on disk already counts, whatever the limits are now. */
  found(bytes: number): void {
    this.#storedBytes += bytes;
  }

  has(name: string): boolean {
    return this.#announced.has(name);
  }

  /** Why an upload of `bytes` more has no room, `null` when it has. */
  refusal({ bytes, owner }: Announcement): 'owner' | 'uploads' | 'bytes' | null {
    const { maxOwnerUploads, maxOwnerBytes, maxUploads, maxTotalBytes, reservedBytes } = this.#limits;
    if (owner !== '') {
      const own = [...this.#announced.values()].filter((other) => other.owner === owner);
      const ownBytes = own.reduce((sum, other) => sum + other.bytes, bytes);
      if (own.length >= maxOwnerUploads || ownBytes > maxOwnerBytes) return 'owner';
    }
    if (this.#announced.size >= maxUploads) return 'uploads';
    if (this.#storedBytes + this.#announcedBytes + bytes > maxTotalBytes - reservedBytes) return 'bytes';
    return null;
  }

  announce(name: string, announcement: Announcement): void {
    this.withdraw(name);
    this.#announced.set(name, announcement);
    this.#announcedBytes += announcement.bytes;
  }

  withdraw(name: string): void {
    this.#announcedBytes -= this.#announced.get(name)?.bytes ?? 0;
    this.#announced.delete(name);
  }

  /** An upload has become a blob. */
  settle(name: string): void {
    this.#storedBytes += this.#announced.get(name)?.bytes ?? 0;
    this.withdraw(name);
  }

  /** The error for a blob that has no room, or an upload that was refused. */
  fullError({ hash, byteLength }: BlobReference, refusal: 'owner' | 'uploads' | 'bytes', owner: string): StorageError {
    const { maxUploads, maxOwnerUploads, maxOwnerBytes, maxTotalBytes } = this.#limits;
    switch (refusal) {
      case 'owner': {
        const bytes = Number.isFinite(maxOwnerBytes) ? ` and ${maxOwnerBytes} bytes` : '';
        return new StorageError('UPLOAD_QUOTA', `blob ${hash} of ${byteLength} bytes: ${owner} may have ${maxOwnerUploads} unfinished uploads${bytes}`, {
          hint: 'Finish the uploads that were begun, or raise the limit on the server.',
        });
      }
      case 'uploads':
        return new StorageError('STORE_FULL', `blob ${hash}: ${maxUploads} uploads are under way already`, { hint: 'Try again later.' });
      case 'bytes':
        return new StorageError('STORE_FULL', `blob ${hash} of ${byteLength} bytes: the store has ${this.#storedBytes} of ${maxTotalBytes} bytes`, {
          hint: 'Raise the budget, or remove what is no longer needed.',
        });
    }
  }
}
