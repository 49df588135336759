import { createSafetensors, openSafetensors } from '@zk0/storage';
import { elementCount } from '@zk0/core';
import { cp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../src/checkpoint/json-file.ts';
import { WEIGHTS_FILE } from '../src/checkpoint/weights.ts';
import { presetDirectory } from '../src/preset/generate.ts';
import { SMALL, type Preset } from '../src/preset/small.ts';

/** `lerobot/smolvla_base` in shape, with random weights. */
export const FULL: Preset = {
  name: 'full',
  version: 1,
  training: SMALL.training,
  policy: { type: 'smolvla', load_vlm_weights: false, num_expert_layers: 0 },
  vlm: () => ({
    ...SMALL.vlm(49280),
    scale_factor: 4,
    text_config: {
      hidden_size: 960,
      intermediate_size: 2560,
      num_hidden_layers: 16,
      num_attention_heads: 15,
      num_key_value_heads: 5,
      head_dim: 64,
      rms_norm_eps: 1e-5,
      vocab_size: 49280,
    },
    vision_config: {
      hidden_size: 768,
      intermediate_size: 3072,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      image_size: 512,
      patch_size: 16,
    },
  }),
};

/** The full-size checkpoint in bfloat16 (0.9 GB), as it is published; made once in `root`. */
export async function fullCheckpoint(root: string): Promise<string> {
  const directory = join(root, 'full-bfloat16');
  if (await exists(directory)) return directory;
  const wide = await presetDirectory(FULL, root);
  const temporary = `${directory}.${process.pid}.tmp`;
  await cp(wide, temporary, { recursive: true, filter: (path) => !path.endsWith(WEIGHTS_FILE) });
  const from = await openSafetensors(join(wide, WEIGHTS_FILE));
  const writer = await createSafetensors(join(temporary, WEIGHTS_FILE), from.specs.map((spec) => ({ ...spec, dtype: 'BF16' as const })));
  for (const { name, shape } of from.specs) {
    const words = new Uint32Array(elementCount(shape));
    await from.readBytes(name, 0, new Uint8Array(words.buffer));
    await writer.writeBytes(name, 0, new Uint8Array(Uint16Array.from(words, (word) => word >>> 16).buffer));
  }
  await writer.commit();
  await from.close();
  await rename(temporary, directory);
  await rm(join(root, 'presets'), { recursive: true });
  return directory;
}
