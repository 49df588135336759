import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { byteLength, sameShape, type Normalizer, type Parameters, type TensorSpec } from '@zk0/core';
import { createSafetensors, writeDirectoryAtomic } from '@zk0/storage';
import type { PolicyConfigJson } from '../config/policy-config.ts';
import { trainedWeightSpecs } from '../model/weights.ts';
import { PolicyError } from '../errors.ts';
import type { PolicyFeatures, SaveCheckpointOptions } from '../policy.ts';
import { isStatistic } from './check-tensors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { VLM_FOLDER, withoutLora } from './checkpoint.ts';
import { exists } from './json-file.ts';
import { writeJson, writeProcessors } from './processor-files.ts';
import { BASE_HASH_KEY, BASE_SOURCE_KEY } from './trained-weights.ts';
import { TRAINED_FILE, WEIGHTS_FILE } from './weights.ts';

const COPY_BYTES = 8 << 20;
/** What a saved checkpoint says beside its weights. */
export interface SaveContext {
  readonly features: PolicyFeatures;
  readonly normalizer: Normalizer;
  readonly form: NonNullable<SaveCheckpointOptions['form']>;
  /** Where anybody finds the frozen weights: a preset or a hub address; a path of this machine is kept to it. */
  readonly baseSource: string | undefined;
}

/**
 * Writes trained weights, joined with the frozen ones of a checkpoint (`full`) or alone (`trained`), as a directory that
 * is there whole or not at all.
 *
 * @throws PolicyError POLICY_TENSORS_MISMATCH when the parameters are not those of this architecture; StorageError.
 */
export async function saveCheckpoint(
  base: Checkpoint,
  directory: string,
  parameters: Parameters,
  { features, normalizer, form, baseSource }: SaveContext,
): Promise<void> {
  checkParameters(base, parameters);
  const json: PolicyConfigJson = { ...base.json, ...featureConfigs(base, features) };
  await writeDirectoryAtomic(directory, async (target) => {
    await writeJson(join(target, 'config.json'), json);
    await writeProcessors(target, json, normalizer, base.renameMap);
    if (form === 'trained') await writeTrained(base, join(target, TRAINED_FILE), parameters, baseSource);
    else await writeFull(base, target, parameters);
  });
}

/** @throws PolicyError POLICY_TENSORS_MISMATCH listing every difference. */
export function checkParameters({ config }: Pick<Checkpoint, 'config'>, parameters: ReadonlyMap<string, Pick<TensorSpec, 'shape'>>): void {
  const wanted = trainedWeightSpecs(config.model);
  const names = new Set(wanted.map(({ name }) => name));
  const problems = [
    ...wanted.filter(({ name }) => !parameters.has(name)).map(({ name }) => `missing ${name}`),
    ...[...parameters.keys()].filter((name) => !names.has(name)).map((name) => `not trained here: ${name}`),
    ...wanted.flatMap(({ name, shape }) => {
      const found = parameters.get(name);
      if (found === undefined || sameShape(found.shape, shape)) return [];
      return [`${name} has shape [${found.shape.join(', ')}], not [${shape.join(', ')}]`];
    }),
  ];
  if (problems.length === 0) return;
  const more = problems.length > 20 ? ` and ${problems.length - 20} more` : '';
  throw new PolicyError('POLICY_TENSORS_MISMATCH', `parameters do not fit the policy: ${problems.slice(0, 20).join('; ')}${more}`, {
    hint: 'Use weights that were trained from the same policy.',
  });
}

function featureConfigs({ json, config }: Checkpoint, features: PolicyFeatures): Pick<PolicyConfigJson, 'input_features' | 'output_features'> {
  const image = { type: 'VISUAL' as const, shape: [3, config.model.imageSize, config.model.imageSize] };
  return {
    input_features: {
      'observation.state': { type: 'STATE', shape: [features.stateSize] },
      ...Object.fromEntries(features.cameras.map((key) => [key, json.input_features[key] ?? image])),
    },
    output_features: { action: { type: 'ACTION', shape: [features.actionSize] } },
  };
}

/** Writes every weight that can be trained without LoRA: those given, and as they are in the base those that LoRA does not adapt. */
export async function writeTrained(base: Checkpoint, path: string, parameters: Parameters, source: string | undefined): Promise<void> {
  const stored = new Map(base.weights.specs.map((spec) => [spec.name, spec]));
  const specs = trainedWeightSpecs(withoutLora(base.config).model).map(
    ({ name, dtype, shape }): TensorSpec => ({ name, dtype: parameters.has(name) ? dtype : stored.get(name)!.dtype, shape }),
  );
  const metadata = { format: 'pt', [BASE_HASH_KEY]: base.wholeBaseHash, ...(source === undefined ? {} : { [BASE_SOURCE_KEY]: source }) };
  await writeTensors(path, specs, metadata, base, parameters);
}

async function writeFull(base: Checkpoint, target: string, parameters: Parameters): Promise<void> {
  const specs = base.weights.specs
    .filter(({ name }) => !isStatistic(name))
    .map((spec): TensorSpec => (parameters.has(spec.name) ? { ...spec, dtype: 'F32' } : spec));
  await writeTensors(join(target, WEIGHTS_FILE), specs, { format: 'pt' }, base, parameters);
  const ownVlm = join(base.frozenDirectory, VLM_FOLDER);
  if (!(await exists(ownVlm))) return;
  await mkdir(join(target, VLM_FOLDER));
  for (const entry of await readdir(ownVlm, { withFileTypes: true })) {
    if (entry.isFile()) await copyFile(join(ownVlm, entry.name), join(target, VLM_FOLDER, entry.name));
  }
}

async function writeTensors(
  path: string,
  specs: readonly TensorSpec[],
  metadata: Readonly<Record<string, string>>,
  base: Checkpoint,
  parameters: Parameters,
): Promise<void> {
  const writer = await createSafetensors(path, specs, { metadata });
  try {
    const buffer = new Uint8Array(COPY_BYTES);
    for (const spec of writer.specs) {
      const trained = parameters.get(spec.name)?.data;
      if (trained !== undefined) {
        await writer.writeBytes(spec.name, 0, new Uint8Array(trained.buffer, trained.byteOffset, trained.byteLength));
        continue;
      }
      const size = byteLength(spec);
      for (let offset = 0; offset < size; offset += COPY_BYTES) {
        const chunk = buffer.subarray(0, Math.min(COPY_BYTES, size - offset));
        await base.weights.readBytes(spec.name, offset, chunk);
        await writer.writeBytes(spec.name, offset, chunk);
      }
    }
    await writer.commit();
  } finally {
    await writer.abort();
  }
}
