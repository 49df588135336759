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
  /** The file system is mounted read-only; Linux does that by itself when a disk fails. */
  | 'DISK_READ_ONLY'
  /** The disk or the network behind it answered with an error, or not in time. */
  | 'DISK_FAULT'
  /** The process or the machine has no file handle or memory left for one more file. */
  | 'FILES_EXHAUSTED'
  /** A store on the network does not answer, or not in time. */
  | 'STORE_UNREACHABLE'
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
  /** The bytes at rest are not those that the store took in: a disk or memory fault, or somebody changed the file. */
  | 'BLOB_DAMAGED'
  /** A byte range outside the blob. */
  | 'BLOB_RANGE'
  /** The blob is above the store's limit. */
  | 'BLOB_TOO_LARGE'
  /** The store's budget is used up. */
  | 'STORE_FULL'
  /** One sender's share of the store's uploads is used up. */
  | 'UPLOAD_QUOTA'
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

/** Codes of the operating system, and what they mean for whoever reads or writes. */
const SYSTEM_CODES: Readonly<Record<string, StorageErrorCode>> = {
  ENOENT: 'FILE_NOT_FOUND',
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  EROFS: 'DISK_READ_ONLY',
  EIO: 'DISK_FAULT',
  ENXIO: 'DISK_FAULT',
  ESTALE: 'DISK_FAULT',
  ETIMEDOUT: 'DISK_FAULT',
  EREMOTEIO: 'DISK_FAULT',
  EMFILE: 'FILES_EXHAUSTED',
  ENFILE: 'FILES_EXHAUSTED',
  ENOMEM: 'FILES_EXHAUSTED',
  EAGAIN: 'FILES_EXHAUSTED',
};

/** What can be over in a while without anybody touching the files: room is made, a disk is mounted again, handles are closed, the network is back. */
const PASSING: ReadonlySet<string> = new Set<StorageErrorCode>(['DISK_FULL', 'DISK_READ_ONLY', 'DISK_FAULT', 'FILES_EXHAUSTED', 'STORE_FULL', 'STORE_UNREACHABLE']);

/** Causes of causes beyond this are not looked at. */
const MAX_CAUSES = 8;

/**
 * Whether an error is one of this machine's storage that may be gone when the same is tried again later (a full or read-only disk, an
 * I/O error, no file handle left, a store that others fill at the moment or that the network does not reach). Nothing is wrong with the data then, and with nobody who
 * sent it. Errors of the operating system that no function of this package has seen are recognised too, as are causes of others.
 *
 * Not passing: a file that is missing, damaged or forbidden, and everything that a caller did wrong.
 */
export function isPassingStorageError(error: unknown): boolean {
  let current = error;
  for (let depth = 0; depth < MAX_CAUSES && current instanceof Error; depth++) {
    const { code } = current as NodeJS.ErrnoException;
    if (typeof code === 'string' && PASSING.has(SYSTEM_CODES[code] ?? code)) return true;
    current = current.cause;
  }
  return false;
}

/** Turns an error of the operating system into a {@link StorageError} that says which file and what to do. */
export function fileError(action: 'read' | 'write', path: string, cause: unknown): Zk0Error {
  if (cause instanceof Zk0Error) return cause;
  if (cause instanceof Error && cause.name === 'AbortError') return new CancelledError(`${action} ${path}`, { cause });
  const system = (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
  const code = SYSTEM_CODES[system] ?? (action === 'read' ? 'FILE_UNREADABLE' : 'FILE_UNWRITABLE');
  const [what, hint] = describe(code, action, errorMessage(cause));
  return new StorageError(code, `${path}: ${what}`, { cause, hint });
}

function describe(code: StorageErrorCode, action: 'read' | 'write', message: string): readonly [what: string, hint: string] {
  switch (code) {
    case 'FILE_NOT_FOUND':
      return ['no such file or folder', 'Check the path.'];
    case 'DISK_FULL':
      return ['no space left to write', 'Free disk space and try again.'];
    case 'DISK_READ_ONLY':
      return ['the file system is read-only', 'Mount it for writing, or choose another folder; look into the system log for disk errors.'];
    case 'DISK_FAULT':
      return [`the disk failed to ${action} (${message})`, 'Check the disk and its connection; the system log says more.'];
    case 'FILES_EXHAUSTED':
      return [`no file handle or memory left to ${action} (${message})`, 'Raise the limit of open files (ulimit -n), or close other programs.'];
    default:
      return action === 'read'
        ? [`cannot read (${message})`, 'Check that it is a file and its permissions.']
        : [`cannot write (${message})`, 'Check the folder’s permissions, or choose another.'];
  }
}
