import { SMALL, type Preset } from './small.ts';

/** The smallest architecture with every kind of layer, for tests and for trying devices out: milliseconds a step, seconds on an emulated GPU. */
export const TINY: Preset = {
  name: 'tiny',
  version: 1,
  training: SMALL.training,
  policy: {
    ...SMALL.policy,
    chunk_size: 6,
    n_action_steps: 4,
    max_state_dim: 8,
    max_action_dim: 8,
    resize_imgs_with_padding: [16, 16],
    tokenizer_max_length: 24,
    num_vlm_layers: 2,
    num_steps: 4,
  },
  vlm: (vocabSize) => ({
    ...SMALL.vlm(vocabSize),
    text_config: {
      ...(SMALL.vlm(vocabSize)['text_config'] as Record<string, unknown>),
      hidden_size: 32,
      intermediate_size: 64,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 16,
    },
    vision_config: {
      ...(SMALL.vlm(vocabSize)['vision_config'] as Record<string, unknown>),
      hidden_size: 16,
      intermediate_size: 32,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      image_size: 16,
      patch_size: 4,
    },
  }),
};
