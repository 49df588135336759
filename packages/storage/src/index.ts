/**
 * @module
 * Files that never half-exist: atomic writes, safetensors on disk read and written by ranges, content-addressed blobs.
 */
export { recoverDirectories, syncDirectory, writeDirectoryAtomic, writeFileAtomic } from './atomic.ts';
export { assertHash, type BlobReader, type BlobStore, type ByteRange, type CollectReport, type UploadOptions } from './blob-store.ts';
export {
  DEFAULT_MAX_BLOB_BYTES,
  DEFAULT_MAX_OWNER_UPLOADS,
  DEFAULT_MAX_UPLOADS,
  DEFAULT_UPLOAD_IDLE_MS,
  type BlobStoreLimits,
} from './budget.ts';
export { openBlobStore, type BlobStoreOptions } from './directory-blob-store.ts';
export { fileError, isPassingStorageError, StorageError, type StorageErrorCode } from './errors.ts';
export { hashFile } from './hash.ts';
export { makeDirectory } from './make-directory.ts';
export { MAX_JSON_BYTES, readJsonFile, type Schema } from './json.ts';
export { describePointer, parsePointer, pointerAt, refusePointerFiles, type PointerFile } from './pointer-file.ts';
export { gathered, PartialFile } from './partial-file.ts';
export { readParameters, writeParameters, type ReadParametersOptions } from './parameters-file.ts';
export { openSafetensors, type SafetensorsFile } from './safetensors-file.ts';
export { createSafetensors, type SafetensorsWriteOptions, type SafetensorsWriter } from './safetensors-writer.ts';
export type { SharedNames, SharedRow, SharedTable } from './shared-table.ts';
export { inTransaction, isHeldByOther, sqliteDiskError } from './sqlite.ts';
export { writeTensors } from './write-tensors.ts';
