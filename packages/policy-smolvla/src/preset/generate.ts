import { createHash, randomBytes } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createSafetensors } from '@zk0/storage';
import { exists } from '../checkpoint/json-file.ts';
import { VLM_FOLDER } from '../checkpoint/checkpoint.ts';
import { writeJson } from '../checkpoint/processor-files.ts';
import { WEIGHTS_FILE } from '../checkpoint/weights.ts';
import { policyConfigSchema } from '../config/policy-config.ts';
import { resolveConfig } from '../config/resolve-config.ts';
import { vlmConfigSchema } from '../config/vlm-config.ts';
import { weightSpecs } from '../model/weights.ts';
import { makeByteTokenizer } from '../tokenizer/byte-tokenizer.ts';
import { initialValues } from './initialize.ts';
import { readPretrained } from './pretrained.ts';
import type { Preset } from './small.ts';

/**
 * Returns the checkpoint directory of a preset, generated there first if need be. Several processes may do so at once:
 * each builds its own copy, the first to finish wins.
 */
export async function presetDirectory(preset: Preset, cacheDirectory: string): Promise<string> {
  const files = presetFiles(preset);
  const identity = preset.pretrained === undefined ? files : { ...files, pretrained: preset.pretrained.sha256 };
  const key = createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 12);
  const parent = join(cacheDirectory, 'presets');
  const directory = join(parent, `${preset.name}-v${preset.version}-${key}`);
  if (await exists(directory)) return directory;
  const temporary = join(parent, `.${preset.name}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
  await mkdir(join(temporary, VLM_FOLDER), { recursive: true });
  try {
    for (const [name, value] of Object.entries(files)) await writeJson(join(temporary, name), value);
    await writeWeights(preset, files, temporary);
    await rename(temporary, directory).catch(async (error: unknown) => {
      if (!(await exists(directory))) throw error;
    });
    return directory;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Every file of a preset but its weights. */
function presetFiles(preset: Preset): Readonly<Record<string, unknown>> {
  const { tokenizer, config, vocabSize } = makeByteTokenizer();
  return {
    'config.json': { ...preset.policy, vlm_model_name: VLM_FOLDER },
    [`${VLM_FOLDER}/config.json`]: preset.vlm(vocabSize),
    [`${VLM_FOLDER}/tokenizer.json`]: tokenizer,
    [`${VLM_FOLDER}/tokenizer_config.json`]: config,
    ...PROCESSOR_FILES,
  };
}

/** What transformers' `AutoProcessor` wants to see beside a SmolVLM's tokenizer. */
const PROCESSOR_FILES: Readonly<Record<string, unknown>> = {
  [`${VLM_FOLDER}/processor_config.json`]: { processor_class: 'SmolVLMProcessor', image_seq_len: 64 },
  [`${VLM_FOLDER}/preprocessor_config.json`]: {
    image_processor_type: 'SmolVLMImageProcessor',
    processor_class: 'SmolVLMProcessor',
    video_sampling: { fps: 1, max_frames: 64, video_size: { longest_edge: 512 } },
  },
};

async function writeWeights(preset: Preset, files: Readonly<Record<string, unknown>>, directory: string): Promise<void> {
  const json = policyConfigSchema.parse(files['config.json']);
  const vlm = vlmConfigSchema.parse(files[`${VLM_FOLDER}/config.json`]);
  const { model } = resolveConfig(json, vlm, { fakeImageTokenId: 0, globalImageTokenId: 0 });
  const seed = `${preset.name}-v${preset.version}`;
  const specs = weightSpecs(model).map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  const pretrained = preset.pretrained === undefined ? new Map<string, Float32Array>() : await readPretrained(preset.pretrained, specs);
  const writer = await createSafetensors(join(directory, WEIGHTS_FILE), specs);
  try {
    for (const spec of specs) {
      const values = pretrained.get(spec.name) ?? initialValues(spec, seed);
      await writer.writeBytes(spec.name, 0, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    }
    await writer.commit();
  } finally {
    await writer.abort();
  }
}
