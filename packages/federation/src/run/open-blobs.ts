import type { BlobReference, HeaderLimits } from '@zk0/core';
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

  /** Opens a blob that was hashed a moment ago, as it arrived; of a stranger's, no more of the header is read than `limits` say. */
  async openFresh(blob: BlobReference, limits: HeaderLimits = {}): Promise<SafetensorsFile> {
    return this.#open(await this.#blobs.localFile(blob), limits);
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }

  async #open(path: string, limits: HeaderLimits = {}): Promise<SafetensorsFile> {
    const file = await openSafetensors(path, limits);
    this.#files.push(file);
    return file;
  }
}
