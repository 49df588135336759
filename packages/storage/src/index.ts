/**
 * @module
 * Files that never half-exist: atomic writes, safetensors on disk read and written by ranges, content-addressed blobs.
 */
export { syncDirectory, writeDirectoryAtomic, writeFileAtomic } from './atomic.ts';
export { assertHash, type BlobStore, type ByteRange, type CollectReport } from './blob-store.ts';
export {
  DEFAULT_MAX_BLOB_BYTES,
  DEFAULT_MAX_UPLOADS,
  DEFAULT_UPLOAD_IDLE_MS,
  openBlobStore,
  type BlobStoreLimits,
} from './directory-blob-store.ts';
export { fileError, StorageError, type StorageErrorCode } from './errors.ts';
export { hashFile } from './hash.ts';
export { MAX_JSON_BYTES, readJsonFile, type Schema } from './json.ts';
export { describePointer, parsePointer, pointerAt, type PointerFile } from './pointer-file.ts';
export { gathered, PartialFile } from './partial-file.ts';
export { readParameters, writeParameters, type ReadParametersOptions } from './parameters-file.ts';
export { openSafetensors, type SafetensorsFile } from './safetensors-file.ts';
export { createSafetensors, type SafetensorsWriter } from './safetensors-writer.ts';
export { writeTensors } from './write-tensors.ts';
