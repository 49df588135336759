import { join } from 'node:path';
import type { Normalizer } from '@zk0/core';
import { createSafetensors, writeFileAtomic } from '@zk0/storage';
import type { PolicyConfigJson } from '../config/policy-config.ts';
import { PREPROCESSOR_FILE } from './statistics.ts';

const POSTPROCESSOR_FILE = 'policy_postprocessor.json';

/**
 * Writes the pre- and post-processor files of LeRobot 0.4 and later: the steps of `make_smolvla_pre_post_processors`
 * (lerobot/policies/smolvla/processor_smolvla.py), statistics beside them.
 *
 * @param renameMap name of an observation as a robot has it → name that the policy takes
 */
export async function writeProcessors(
  directory: string,
  json: PolicyConfigJson,
  normalizer: Normalizer,
  renameMap: Readonly<Record<string, string>>,
): Promise<void> {
  const { VISUAL = 'IDENTITY', STATE = 'MEAN_STD', ACTION = 'MEAN_STD' } = json.normalization_mapping;
  const normalization = (features: PolicyConfigJson['input_features']): Record<string, unknown> => ({
    eps: 1e-8,
    features,
    norm_map: { VISUAL, STATE, ACTION },
  });
  const statistics = (pipeline: string, step: number, name: string): string => `${pipeline}_step_${step}_${name}.safetensors`;
  const pre = statistics('policy_preprocessor', 5, 'normalizer_processor');
  const post = statistics('policy_postprocessor', 0, 'unnormalizer_processor');
  await writeStatistics(join(directory, pre), normalizer);
  await writeStatistics(join(directory, post), normalizer);
  await writeJson(join(directory, PREPROCESSOR_FILE), {
    name: 'policy_preprocessor',
    steps: [
      { registry_name: 'rename_observations_processor', config: { rename_map: renameMap } },
      { registry_name: 'to_batch_processor', config: {} },
      { registry_name: 'smolvla_new_line_processor', config: {} },
      {
        registry_name: 'tokenizer_processor',
        config: {
          max_length: json.tokenizer_max_length,
          task_key: 'task',
          padding_side: 'right',
          padding: json.pad_language_to,
          truncation: true,
          tokenizer_name: json.vlm_model_name,
        },
      },
      { registry_name: 'device_processor', config: { device: 'cpu', float_dtype: null } },
      {
        registry_name: 'normalizer_processor',
        config: normalization({ ...json.input_features, ...json.output_features }),
        state_file: pre,
      },
    ],
  });
  await writeJson(join(directory, POSTPROCESSOR_FILE), {
    name: 'policy_postprocessor',
    steps: [
      { registry_name: 'unnormalizer_processor', config: normalization(json.output_features), state_file: post },
      { registry_name: 'device_processor', config: { device: 'cpu', float_dtype: null } },
    ],
  });
}

/** Writes a value as indented JSON. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

async function writeStatistics(path: string, { state, action }: Normalizer): Promise<void> {
  const vectors: Record<string, readonly number[]> = {
    'action.mean': action.mean,
    'action.std': action.std,
    'observation.state.mean': state.mean,
    'observation.state.std': state.std,
  };
  const writer = await createSafetensors(
    path,
    Object.entries(vectors).map(([name, values]) => ({ name, dtype: 'F32' as const, shape: [values.length] })),
    { metadata: {} },
  );
  try {
    for (const [name, values] of Object.entries(vectors)) {
      await writer.writeBytes(name, 0, new Uint8Array(Float32Array.from(values).buffer));
    }
    await writer.commit();
  } finally {
    await writer.abort();
  }
}
