import { decodeSafetensors, MemoryTensorSource, type BlobReference, type HeaderLimits, type TensorSource } from '@zk0/core';
import { openSafetensors } from '@zk0/storage';
import type { EngineBlobs } from '../blobs/engine-blobs.ts';

/** Tensors of a blob that is open. */
export interface OpenTensors extends TensorSource {
  /** Size of the whole blob in bytes. */
  readonly byteLength: number;
  /** What its header says beside the tensors. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Blobs that are read as tensors, closed together. */
export class OpenBlobs {
  readonly #blobs: EngineBlobs;
  readonly #files: { close(): Promise<void> }[] = [];

  constructor(blobs: EngineBlobs) {
    this.#blobs = blobs;
  }

  /**
   * Opens a blob whose bytes are hashed first: what a result is made of must be what was sent.
   *
   * @throws SafetensorsError for bytes that are no safetensors file; StorageError `BLOB_DAMAGED`, and others of this machine.
   */
  async openVerified(blob: BlobReference): Promise<OpenTensors> {
    return this.#inMemory(blob) ?? this.#open(await this.#blobs.verifiedFile(blob));
  }

  /** Opens a blob that was hashed a moment ago, as it arrived; of a stranger's, no more of the header is read than `limits` say. */
  async openFresh(blob: BlobReference, limits: HeaderLimits = {}): Promise<OpenTensors> {
    return this.#inMemory(blob) ?? this.#open(await this.#blobs.localFile(blob), limits);
  }

  /** Opens a file of tensors that this machine has just written. */
  openFile(path: string): Promise<OpenTensors> {
    return this.#open(path);
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }

  #inMemory({ hash }: BlobReference): OpenTensors | undefined {
    const bytes = this.#blobs.inMemory?.(hash);
    if (bytes === undefined) return undefined;
    const { tensors, metadata } = decodeSafetensors(bytes);
    return Object.assign(new MemoryTensorSource(tensors), { byteLength: bytes.byteLength, metadata });
  }

  async #open(path: string, limits: HeaderLimits = {}): Promise<OpenTensors> {
    const file = await openSafetensors(path, limits);
    this.#files.push(file);
    return file;
  }
}
