import type { BlobReference } from '@zk0/core';
import { openSafetensors, type BlobStore, type SafetensorsFile } from '@zk0/storage';

/** Blobs that are read as tensors, closed together. */
export class OpenBlobs {
  readonly #blobs: BlobStore;
  readonly #files: SafetensorsFile[] = [];

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /**
   * Opens a blob whose bytes are hashed first: what a result is made of must be what was sent.
   *
   * @throws SafetensorsError for bytes that are no safetensors file; StorageError `BLOB_DAMAGED`, and others of this machine.
   */
  async openVerified(blob: BlobReference): Promise<SafetensorsFile> {
    return this.#open(await this.#blobs.verifiedFile(blob));
  }

  /** Opens a blob that was hashed a moment ago, as it arrived. */
  async openFresh(blob: BlobReference): Promise<SafetensorsFile> {
    return this.#open(await this.#blobs.localFile(blob));
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }

  async #open(path: string): Promise<SafetensorsFile> {
    const file = await openSafetensors(path);
    this.#files.push(file);
    return file;
  }
}
