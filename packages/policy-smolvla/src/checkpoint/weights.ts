import { join } from 'node:path';
import { compareNames, type TensorLocation, type TensorSource, type TensorSpec } from '@zk0/core';
import { openSafetensors, type SafetensorsFile } from '@zk0/storage';
import * as z from 'zod';
import { PolicyError } from '../errors.ts';
import { exists, readPolicyJson } from './json-file.ts';

/** A tensor's bytes on disk. */
export interface TensorPlace extends TensorLocation {
  readonly path: string;
}

/** File of the weights of an unsharded checkpoint. */
export const WEIGHTS_FILE = 'model.safetensors';
/** File of a checkpoint that holds trained weights only. */
export const TRAINED_FILE = 'trained.safetensors';
/** Names the shards of a checkpoint that has several. */
export const INDEX_FILE = 'model.safetensors.index.json';
/** More shards than any published policy has. */
const MAX_SHARDS = 1000;

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+\.safetensors$/)) });

/** Some of a checkpoint's files, and the names that the model has for their tensors; `undefined` leaves one out. */
export interface WeightLayer {
  readonly files: readonly SafetensorsFile[];
  readonly rename?: (stored: string) => string | undefined;
}

interface Place {
  readonly layer: WeightLayer;
  readonly file: SafetensorsFile;
  readonly stored: string;
}

/**
 * The weights of a checkpoint: one safetensors file or the shards that an index names, perhaps with trained weights above
 * or those of the vision-language model below. Names are LeRobot's; the `_orig_mod.` that `torch.compile` leaves in them is
 * dropped.
 */
export class CheckpointWeights implements TensorSource {
  readonly specs: readonly TensorSpec[];
  readonly #places: ReadonlyMap<string, Place>;
  readonly #layers: readonly WeightLayer[];

  /** @param layers a tensor is taken from the first that has it */
  constructor(layers: readonly WeightLayer[]) {
    const places = new Map<string, Place>();
    const specs: TensorSpec[] = [];
    for (const layer of layers) {
      for (const file of layer.files) {
        for (const spec of file.specs) {
          const plain = spec.name.replaceAll('_orig_mod.', '');
          const name = layer.rename === undefined ? plain : layer.rename(plain);
          if (name === undefined) continue;
          const other = places.get(name);
          if (other?.layer === layer) {
            throw new PolicyError('POLICY_TENSORS_MISMATCH', `tensor ${name} is in ${other.file.path} and again in ${file.path}`, {
              hint: 'Download the policy again.',
            });
          }
          if (other !== undefined) continue;
          places.set(name, { layer, file, stored: spec.name });
          specs.push({ ...spec, name });
        }
      }
    }
    this.specs = specs.sort((a, b) => compareNames(a.name, b.name));
    this.#places = places;
    this.#layers = layers;
  }

  /** The same weights with another layer below; closing it closes these. */
  over(layer: WeightLayer): CheckpointWeights {
    return new CheckpointWeights([...this.#layers, layer]);
  }

  has(name: string): boolean {
    return this.#places.has(name);
  }

  /** Where a tensor's bytes are. */
  place(name: string): TensorPlace {
    const { file, stored } = this.#at(name);
    return { ...file.tensorLocation(stored), name, path: file.path };
  }

  async readBytes(name: string, byteOffset: number, into: Uint8Array): Promise<void> {
    const { file, stored } = this.#at(name);
    await file.readBytes(stored, byteOffset, into);
  }

  async close(): Promise<void> {
    for (const { files } of this.#layers) for (const file of files) await file.close();
  }

  #at(name: string): Place {
    const place = this.#places.get(name);
    if (place === undefined) throw new PolicyError('POLICY_TENSORS_MISMATCH', `the checkpoint has no tensor ${name}`);
    return place;
  }
}

/**
 * Opens the weight files of a directory; no tensor is read.
 *
 * @throws PolicyError POLICY_WEIGHTS_MISSING; SafetensorsError or StorageError naming the file.
 */
export async function openWeightFiles(directory: string): Promise<readonly SafetensorsFile[]> {
  const files: SafetensorsFile[] = [];
  try {
    for (const path of await weightFiles(directory)) files.push(await openSafetensors(path));
    return files;
  } catch (error) {
    for (const file of files) await file.close();
    throw error;
  }
}

async function weightFiles(directory: string): Promise<readonly string[]> {
  const single = join(directory, WEIGHTS_FILE);
  if (await exists(single)) return [single];
  const index = join(directory, INDEX_FILE);
  if (await exists(index)) {
    return (await shardsOf(index)).map((shard) => join(directory, shard));
  }
  throw new PolicyError('POLICY_WEIGHTS_MISSING', `${directory} has no ${WEIGHTS_FILE}`, {
    hint: 'Download the whole policy; the weights are missing.',
  });
}

/**
 * The file names that an index of shards lists.
 *
 * @throws PolicyError POLICY_CONFIG_INVALID
 */
export async function shardsOf(index: string): Promise<readonly string[]> {
  const { weight_map } = await readPolicyJson(index, indexSchema, 'POLICY_CONFIG_INVALID');
  const shards = [...new Set(Object.values(weight_map))].sort(compareNames);
  if (shards.length <= MAX_SHARDS) return shards;
  throw new PolicyError('POLICY_CONFIG_INVALID', `${index} names ${shards.length} shards, at most ${MAX_SHARDS} are opened`);
}
