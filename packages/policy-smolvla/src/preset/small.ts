import type { PolicyConfigJson } from '../config/policy-config.ts';
import type { TrainingDefaults } from '../policy.ts';

/** A policy that is generated instead of downloaded. */
export interface Preset {
  readonly name: string;
  /** Enters the weights' seed: another version, other weights. */
  readonly version: number;
  readonly policy: Partial<PolicyConfigJson>;
  /** config.json of its vision-language model; the vocabulary's size is the byte tokenizer's. */
  readonly vlm: (vocabSize: number) => Record<string, unknown>;
  readonly training: TrainingDefaults;
  /** Pre-trained weights that come with the package; the others are drawn. */
  readonly pretrained?: PretrainedPart;
}

/** A file of this package with weights of a preset, in float16 under LeRobot's names. */
export interface PretrainedPart {
  /** Its name in `assets/`. */
  readonly file: string;
  /** Hex SHA-256 of the file: what it holds decides what a preset is. */
  readonly sha256: string;
}

/**
 * SmolVLA in small: every kind of layer and every step of the computation of the 450 M model, a few million parameters.
 * It has been pre-trained in the demo world to say where things are, never what to do about them (`tools/pretrain-small`), so that
 * training its expert is to it what fine-tuning is to the large model. Its chunks are short, for few frames a second.
 */
export const SMALL: Preset = {
  name: 'small',
  version: 4,
  training: { learningRate: 1.5e-3, localSteps: 50, batchSize: 8 },
  pretrained: {
    file: 'small-v4.safetensors',
    sha256: '0348a327ea33fd66f3c2ac639b0408acdf0915dc4af1801fd92321db0a3d2ca5',
  },
  policy: {
    type: 'smolvla',
    chunk_size: 16,
    // Of 120 trials of the demo's task, the mean of three federations with two sets of trials each: 87 with 8 of the actions, 97 with 12.
    // All 16 do worse: 75.
    n_action_steps: 12,
    max_state_dim: 32,
    max_action_dim: 32,
    resize_imgs_with_padding: [64, 64],
    tokenizer_max_length: 48,
    pad_language_to: 'max_length',
    num_steps: 10,
    freeze_vision_encoder: true,
    train_expert_only: true,
    train_state_proj: true,
    load_vlm_weights: false,
    num_vlm_layers: 4,
    num_expert_layers: 0,
    self_attn_every_n_layers: 2,
    attention_mode: 'cross_attn',
    expert_width_multiplier: 0.75,
    optimizer_lr: 1e-3,
  },
  vlm: (vocabSize) => ({
    model_type: 'smolvlm',
    architectures: ['SmolVLMForConditionalGeneration'],
    image_token_id: vocabSize - 2,
    pad_token_id: 2,
    scale_factor: 2,
    tie_word_embeddings: false,
    text_config: {
      model_type: 'llama',
      hidden_size: 192,
      intermediate_size: 512,
      num_hidden_layers: 4,
      num_attention_heads: 6,
      num_key_value_heads: 2,
      head_dim: 32,
      hidden_act: 'silu',
      rms_norm_eps: 1e-5,
      vocab_size: vocabSize,
      max_position_embeddings: 8192,
      pad_token_id: 2,
      bos_token_id: 1,
      eos_token_id: 2,
      tie_word_embeddings: false,
    },
    vision_config: {
      model_type: 'smolvlm_vision',
      hidden_size: 96,
      intermediate_size: 384,
      num_hidden_layers: 2,
      num_attention_heads: 3,
      num_channels: 3,
      image_size: 64,
      patch_size: 8,
      hidden_act: 'gelu_pytorch_tanh',
      layer_norm_eps: 1e-6,
    },
  }),
};
