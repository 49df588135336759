import { byteLength, type BlobReference, type TensorSource } from '@zk0/core';
import { CHUNK_BYTES } from './io.ts';
import { createSafetensors, type SafetensorsWriteOptions } from './safetensors-writer.ts';

/**
 * Writes every tensor of a source as a safetensors file, piece by piece: under its name whole or not at all.
 *
 * @returns hash and size of the file.
 * @throws StorageError when the file cannot be written; whatever the source throws.
 */
export async function writeTensors(path: string, source: TensorSource, options: SafetensorsWriteOptions = {}): Promise<BlobReference> {
  const writer = await createSafetensors(path, source.specs, options);
  try {
    const chunk = new Uint8Array(CHUNK_BYTES);
    for (const spec of writer.specs) {
      const size = byteLength(spec);
      for (let offset = 0; offset < size; offset += chunk.length) {
        const piece = chunk.subarray(0, Math.min(chunk.length, size - offset));
        await source.readBytes(spec.name, offset, piece);
        await writer.writeBytes(spec.name, offset, piece);
      }
    }
    return await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}
