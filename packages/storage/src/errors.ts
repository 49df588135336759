import { CancelledError, errorMessage, Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** What can go wrong with files and blobs. */
export type StorageErrorCode =
  /** A file or folder that should be there is not. */
  | 'FILE_NOT_FOUND'
  /** A file is there but cannot be read: permissions, a folder, a device. */
  | 'FILE_UNREADABLE'
  /** A pointer of git-lfs or git-annex stands in place of a file. */
  | 'FILE_POINTER'
  /** A file or folder cannot be written: permissions, a read-only file system. */
  | 'FILE_UNWRITABLE'
  /** The disk has no room left. */
  | 'DISK_FULL'
  /** A file does not hold JSON of the expected shape. */
  | 'JSON_INVALID'
  /** No tensor of that name, or a byte range outside it. */
  | 'TENSOR_RANGE'
  /** A tensor's dtype cannot be used for what was asked. */
  | 'TENSOR_DTYPE'
  /** A safetensors file was not written as declared: bytes twice, or bytes missing. */
  | 'TENSORS_INCOMPLETE'
  /** Not 64 lower-case hex digits. */
  | 'HASH_INVALID'
  /** Bytes do not have the hash or the size that was claimed for them. */
  | 'HASH_MISMATCH'
  /** The store has no such blob. */
  | 'BLOB_NOT_FOUND'
  /** A byte range outside the blob. */
  | 'BLOB_RANGE'
  /** The blob is above the store's limit. */
  | 'BLOB_TOO_LARGE'
  /** The store's budget is used up. */
  | 'STORE_FULL'
  /** An upload was continued at another place than where it stands. */
  | 'UPLOAD_OFFSET'
  /** A newer append continues this upload. */
  | 'UPLOAD_TAKEN_OVER'
  /** More bytes arrived than were announced. */
  | 'UPLOAD_TOO_LONG'
  /** The upload has not all its bytes yet. */
  | 'UPLOAD_INCOMPLETE';

/** A file or blob operation that failed. */
export class StorageError extends Zk0Error {
  declare readonly code: StorageErrorCode;

  constructor(code: StorageErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}

/** Turns an error of the operating system into a {@link StorageError} that says which file and what to do. */
export function fileError(action: 'read' | 'write', path: string, cause: unknown): Zk0Error {
  if (cause instanceof Zk0Error) return cause;
  if (cause instanceof Error && cause.name === 'AbortError') return new CancelledError(`${action} ${path}`, { cause });
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  switch (code) {
    case 'ENOENT':
      return new StorageError('FILE_NOT_FOUND', `${path}: no such file or folder`, { cause, hint: 'Check the path.' });
    case 'ENOSPC':
    case 'EDQUOT':
      return new StorageError('DISK_FULL', `${path}: no space left to write`, { cause, hint: 'Free disk space and try again.' });
    default: {
      const message = `${path}: cannot ${action} (${errorMessage(cause)})`;
      return action === 'read'
        ? new StorageError('FILE_UNREADABLE', message, { cause, hint: 'Check that it is a file and its permissions.' })
        : new StorageError('FILE_UNWRITABLE', message, { cause, hint: 'Check the folder’s permissions, or choose another.' });
    }
  }
}
