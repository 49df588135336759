import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeSafetensors, encodeSafetensors, type Float32Tensor, type Parameters } from '@zk0/core';

/** Where training stands. */
export interface TrainingProgress {
  /** What training this is: policy, dataset and settings. Another one does not go on from here. */
  readonly identity: string;
  /** Finished rounds. */
  readonly round: number;
  readonly parameters: Parameters;
}

const FILE = 'training.safetensors';

/** Writes the state; it is never half there. */
export async function saveProgress(directory: string, { identity, round, parameters }: TrainingProgress): Promise<void> {
  const tensors = [...parameters].map(([name, { shape, data }]) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }));
  const file = join(directory, FILE);
  await writeFile(`${file}.new`, encodeSafetensors(tensors, { format: 'pt', identity, round: String(round) }));
  await rename(`${file}.new`, file);
}

/** The state that this training left there; undefined where there is none, or that of another training. */
export async function loadProgress(directory: string, identity: string): Promise<TrainingProgress | undefined> {
  const bytes = await readFile(join(directory, FILE)).catch(() => undefined);
  if (bytes === undefined) return undefined;
  const { metadata, tensors } = decodeSafetensors(bytes);
  if (metadata['identity'] !== identity) return undefined;
  const parameters = new Map<string, Float32Tensor>();
  for (const { name, shape, data } of tensors) {
    // A copy: the tensor need not begin at a multiple of four bytes.
    parameters.set(name, { shape, data: new Float32Array(Uint8Array.from(data).buffer) });
  }
  return { identity, round: Number(metadata['round']), parameters };
}
