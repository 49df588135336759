import type { BlobReference } from '@zk0/core';
import { openSafetensors, type BlobStore, type SafetensorsFile } from '@zk0/storage';

/** Blobs that are read as tensors, closed together. */
export class OpenBlobs {
  readonly #blobs: BlobStore;
  readonly #files: SafetensorsFile[] = [];

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /** @throws SafetensorsError for bytes that are no safetensors file; StorageError for trouble of this machine. */
  async open({ hash }: BlobReference): Promise<SafetensorsFile> {
    const file = await openSafetensors(this.#blobs.path(hash));
    this.#files.push(file);
    return file;
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }
}
