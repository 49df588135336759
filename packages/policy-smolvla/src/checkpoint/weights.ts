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
const INDEX_FILE = 'model.safetensors.index.json';
/** More shards than any published policy has. */
const MAX_SHARDS = 1000;

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+\.safetensors$/)) });

/**
 * The weights of a checkpoint directory: one safetensors file, the shards that an index names, or trained weights over
 * those of their base. Names are LeRobot's; the `_orig_mod.` that `torch.compile` leaves in them is dropped.
 */
export class CheckpointWeights implements TensorSource {
  readonly specs: readonly TensorSpec[];
  readonly #places: ReadonlyMap<string, { readonly file: SafetensorsFile; readonly stored: string }>;
  readonly #files: readonly SafetensorsFile[];

  /**
   * Use {@link openWeights}.
   *
   * @param trained a file whose tensors take the place of those of the same name
   */
  constructor(files: readonly SafetensorsFile[], trained?: SafetensorsFile) {
    const places = new Map<string, { readonly file: SafetensorsFile; readonly stored: string }>();
    const specs: TensorSpec[] = [];
    for (const file of trained === undefined ? files : [trained, ...files]) {
      for (const spec of file.specs) {
        const name = spec.name.replaceAll('_orig_mod.', '');
        const other = places.get(name);
        if (other !== undefined) {
          if (other.file === trained && file !== trained) continue;
          throw new PolicyError('POLICY_TENSORS_MISMATCH', `tensor ${name} is in ${other.file.path} and again in ${file.path}`, {
            hint: 'Download the policy again.',
          });
        }
        places.set(name, { file, stored: spec.name });
        specs.push({ ...spec, name });
      }
    }
    this.specs = specs.sort((a, b) => compareNames(a.name, b.name));
    this.#places = places;
    this.#files = trained === undefined ? files : [trained, ...files];
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
    for (const file of this.#files) await file.close();
  }

  #at(name: string): { readonly file: SafetensorsFile; readonly stored: string } {
    const place = this.#places.get(name);
    if (place === undefined) throw new PolicyError('POLICY_TENSORS_MISMATCH', `the checkpoint has no tensor ${name}`);
    return place;
  }
}

/**
 * Opens the weights in a policy directory; no tensor is read.
 *
 * @param trained an open file of trained weights that replace the directory's own; closed with the others
 * @throws PolicyError POLICY_WEIGHTS_MISSING; SafetensorsError or StorageError naming the file.
 */
export async function openWeights(directory: string, trained?: SafetensorsFile): Promise<CheckpointWeights> {
  const files: SafetensorsFile[] = [];
  try {
    for (const path of await weightFiles(directory)) files.push(await openSafetensors(path));
    return new CheckpointWeights(files, trained);
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
    const { weight_map } = await readPolicyJson(index, indexSchema, 'POLICY_CONFIG_INVALID');
    const shards = [...new Set(Object.values(weight_map))].sort(compareNames);
    if (shards.length > MAX_SHARDS) {
      throw new PolicyError('POLICY_CONFIG_INVALID', `${index} names ${shards.length} shards, at most ${MAX_SHARDS} are opened`);
    }
    return shards.map((shard) => join(directory, shard));
  }
  throw new PolicyError('POLICY_WEIGHTS_MISSING', `${directory} has no ${WEIGHTS_FILE}`, {
    hint: 'Download the whole policy; the weights are missing.',
  });
}
