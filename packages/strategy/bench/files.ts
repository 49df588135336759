import { open, rm, type FileHandle } from 'node:fs/promises';
import { byteLength, Random, type TensorSink, type TensorSpec } from '@zk0/core';
import { createSafetensors, openSafetensors, type SafetensorsFile } from '@zk0/storage';
import { join } from 'node:path';

/** A model of 100 million float32 values: forty tensors of transformer shapes and sizes. */
export const SPECS: readonly TensorSpec[] = Array.from({ length: 40 }, (_, index) => ({
  name: `model.layers.${String(index).padStart(2, '0')}.weight`,
  dtype: 'F32',
  shape: [2500, 1000],
}));
export const ELEMENTS = 100_000_000;
export const MODEL_BYTES = ELEMENTS * 4;

/** Writes a model of random values (a short random pattern, shifted from tensor to tensor and client to client). */
export async function writeModel(path: string, client: number): Promise<void> {
  const size = 2_500_000;
  const pattern = new Random('bench').fillNormal(new Float32Array(1_000_003));
  const writer = await createSafetensors(path, SPECS);
  const data = new Float32Array(size);
  for (const [index, { name }] of SPECS.entries()) {
    let at = (client * 7919 + index * 104_729) % pattern.length;
    for (let position = 0; position < size; position++) {
      data[position] = 0.02 * pattern[at]! + 1e-4 * client;
      if (++at === pattern.length) at = 0;
    }
    await writer.writeBytes(name, 0, new Uint8Array(data.buffer));
  }
  await writer.commit();
}

export function modelPath(folder: string, client: number): string {
  return join(folder, `client-${String(client).padStart(2, '0')}.safetensors`);
}

/** Reads a file once, so that it lies in the page cache as a just received upload does. */
export async function warm(file: SafetensorsFile): Promise<void> {
  const chunk = new Uint8Array(8 << 20);
  for (const { name, shape } of file.specs) {
    const bytes = shape.reduce((count, length) => count * length, 4);
    for (let offset = 0; offset < bytes; offset += chunk.byteLength) {
      await file.readBytes(name, offset, chunk.subarray(0, Math.min(chunk.byteLength, bytes - offset)));
    }
  }
}

/** Tensors one after the other in a file, nothing hashed: what comparisons with others write. */
export class PlainFile implements TensorSink {
  readonly specs: readonly TensorSpec[];
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #begins = new Map<string, number>();

  private constructor(path: string, handle: FileHandle, specs: readonly TensorSpec[]) {
    this.#path = path;
    this.#handle = handle;
    this.specs = specs;
    let position = 0;
    for (const spec of specs) {
      this.#begins.set(spec.name, position);
      position += byteLength(spec);
    }
  }

  static async create(path: string, specs: readonly TensorSpec[]): Promise<PlainFile> {
    return new PlainFile(path, await open(path, 'wx'), specs);
  }

  async writeBytes(name: string, byteOffset: number, bytes: Uint8Array): Promise<void> {
    await this.#handle.write(bytes, 0, bytes.byteLength, this.#begins.get(name)! + byteOffset);
  }

  restart(): void {
    // Everything is written again, over what is there.
  }

  async remove(): Promise<void> {
    await this.#handle.close();
    await rm(this.#path);
  }
}

export { openSafetensors };
