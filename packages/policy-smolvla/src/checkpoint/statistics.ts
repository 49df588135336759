import { join } from 'node:path';
import type { Normalizer, TensorSource } from '@zk0/core';
import { decodeBfloat16, elementCount } from '@zk0/core';
import { openSafetensors } from '@zk0/storage';
import * as z from 'zod';
import type { SmolVlaConfig } from '../config/policy-config.ts';
import { PolicyError } from '../errors.ts';
import { exists, readPolicyJson } from './json-file.ts';

export const PREPROCESSOR_FILE = 'policy_preprocessor.json';

const processorSchema = z.looseObject({
  steps: z
    .array(
      z.looseObject({
        registry_name: z.string().optional(),
        state_file: z
          .string()
          .regex(/^[^/\\]+\.safetensors$/)
          .optional(),
      }),
    )
    .max(100),
});

/** More axes than any robot has. */
const MAX_AXES = 4096;

/**
 * Finds the normalisation statistics of a checkpoint: in the processor files (LeRobot 0.4 and later), else among the
 * weights (before). `undefined` when there are none, as in a base model.
 */
export async function readStatistics(
  directory: string,
  config: SmolVlaConfig,
  weights: TensorSource,
): Promise<Normalizer | undefined> {
  const path = join(directory, PREPROCESSOR_FILE);
  if (await exists(path)) {
    const { steps } = await readPolicyJson(path, processorSchema, 'POLICY_CONFIG_INVALID');
    const file = steps.find(({ registry_name }) => registry_name === 'normalizer_processor')?.state_file;
    if (file === undefined) return undefined;
    const source = await openSafetensors(join(directory, file));
    try {
      return await read(source, config, { state: 'observation.state.', action: 'action.' });
    } finally {
      await source.close();
    }
  }
  return read(weights, config, {
    state: 'normalize_inputs.buffer_observation_state.',
    action: 'unnormalize_outputs.buffer_action.',
  });
}

async function read(
  source: TensorSource,
  config: SmolVlaConfig,
  prefixes: { readonly state: string; readonly action: string },
): Promise<Normalizer | undefined> {
  const feature = async (kind: 'state' | 'action'): Promise<Normalizer['state'] | undefined> => {
    if (config.normalization[kind] === 'IDENTITY') return { mean: [], std: [] };
    const mean = await vector(source, `${prefixes[kind]}mean`);
    const std = await vector(source, `${prefixes[kind]}std`);
    // A policy saved before it saw a dataset has infinite statistics.
    return mean === undefined || std === undefined || !mean.concat(std).every(Number.isFinite) ? undefined : { mean, std };
  };
  const state = await feature('state');
  const action = await feature('action');
  return state === undefined || action === undefined ? undefined : { state, action };
}

async function vector(source: TensorSource, name: string): Promise<number[] | undefined> {
  const spec = source.specs.find((candidate) => candidate.name === name);
  if (spec === undefined) return undefined;
  const length = elementCount(spec.shape);
  if (spec.shape.length !== 1 || length > MAX_AXES || (spec.dtype !== 'F32' && spec.dtype !== 'F64' && spec.dtype !== 'BF16')) {
    throw new PolicyError('POLICY_TENSORS_MISMATCH', `statistic ${name} is ${spec.dtype} [${spec.shape.join(', ')}], not a short vector`, {
      hint: 'Download or save the policy again.',
    });
  }
  if (spec.dtype === 'F64') {
    const values = new Float64Array(length);
    await source.readBytes(name, 0, new Uint8Array(values.buffer));
    return [...values];
  }
  const values = new Float32Array(length);
  if (spec.dtype === 'F32') await source.readBytes(name, 0, new Uint8Array(values.buffer));
  else {
    const bits = new Uint16Array(length);
    await source.readBytes(name, 0, new Uint8Array(bits.buffer));
    decodeBfloat16(bits, values);
  }
  return [...values];
}
