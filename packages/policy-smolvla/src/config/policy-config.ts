import * as z from 'zod';
import type { SmolVlaModelConfig } from '../model/config.ts';

/** One input or output feature as config.json lists it. */
export interface FeatureConfig {
  readonly type: 'STATE' | 'ACTION' | 'VISUAL';
  readonly shape: readonly number[];
}

/** How values of a kind are normalised. */
export type NormalizationMode = 'IDENTITY' | 'MEAN_STD';

/** A SmolVLA policy's configuration: LeRobot's `SmolVLAConfig`, checked, with the VLM's architecture resolved. */
export interface SmolVlaConfig {
  /** What fixes the graphs and tensors. */
  readonly model: SmolVlaModelConfig;
  readonly vlmModelName: string;
  readonly inputFeatures: Readonly<Record<string, FeatureConfig>>;
  readonly outputFeatures: Readonly<Record<string, FeatureConfig>>;
  readonly normalization: { readonly state: NormalizationMode; readonly action: NormalizationMode };
  /** Actions of a chunk that are acted out before the next prediction. */
  readonly nActionSteps: number;
  /** Cameras that may be missing; they are fed as −1 with mask 0. */
  readonly emptyCameras: number;
  readonly tokenizerMaxLength: number;
  readonly optimizer: {
    readonly learningRate: number;
    readonly betas: readonly [number, number];
    readonly epsilon: number;
    readonly weightDecay: number;
    readonly gradClipNorm: number;
  };
}

const count = z.int().min(1).max(100_000);
const featureSchema = z.looseObject({
  type: z.enum(['STATE', 'ACTION', 'VISUAL', 'ENV', 'REWARD', 'LANGUAGE']),
  shape: z.array(z.int().min(0).max(1_000_000)).max(8),
});
const featuresSchema = z.record(z.string().min(1).max(200), featureSchema);

/**
 * config.json of a SmolVLA policy, LeRobot 0.3 – 0.4 and later: defaults are `SmolVLAConfig`'s
 * (lerobot/policies/smolvla/configuration_smolvla.py). Unknown keys are kept and written back untouched.
 */
export const policyConfigSchema = z.looseObject({
  type: z.literal('smolvla', { error: ({ input }) => (typeof input === 'string' ? `a policy of type "${input}"; only smolvla is supported` : undefined) }),
  n_obs_steps: z.int().default(1),
  normalization_mapping: z.record(z.string(), z.string()).default({
    VISUAL: 'IDENTITY',
    STATE: 'MEAN_STD',
    ACTION: 'MEAN_STD',
  }),
  input_features: featuresSchema.nullish().transform((features) => features ?? {}),
  output_features: featuresSchema.nullish().transform((features) => features ?? {}),
  /** Tensors of the vision-language model that the checkpoint lacks come from the model's own repository. */
  load_vlm_weights: z.boolean().default(false),
  chunk_size: count.default(50),
  n_action_steps: count.default(50),
  max_state_dim: count.default(32),
  max_action_dim: count.default(32),
  resize_imgs_with_padding: z.tuple([count, count]).nullable().default([512, 512]),
  empty_cameras: z.int().min(0).max(16).default(0),
  adapt_to_pi_aloha: z.boolean().default(false),
  use_delta_joint_actions_aloha: z.boolean().default(false),
  tokenizer_max_length: z.int().min(1).max(4096).default(48),
  num_steps: z.int().min(1).max(1000).default(10),
  freeze_vision_encoder: z.boolean().default(true),
  train_expert_only: z.boolean().default(true),
  train_state_proj: z.boolean().default(true),
  optimizer_lr: z.number().gt(0).default(1e-4),
  optimizer_betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).default([0.9, 0.95]),
  optimizer_eps: z.number().gt(0).default(1e-8),
  optimizer_weight_decay: z.number().min(0).default(1e-10),
  optimizer_grad_clip_norm: z.number().gt(0).default(10),
  vlm_model_name: z.string().min(1).max(1000).default('HuggingFaceTB/SmolVLM2-500M-Video-Instruct'),
  add_image_special_tokens: z.boolean().default(false),
  attention_mode: z.string().default('cross_attn'),
  prefix_length: z.int().max(100_000).default(-1),
  pad_language_to: z.string().default('longest'),
  num_expert_layers: z.int().max(1000).default(-1),
  num_vlm_layers: z.int().max(1000).default(16),
  self_attn_every_n_layers: z.int().max(1000).default(2),
  expert_width_multiplier: z.number().gt(0).max(16).default(0.75),
  min_period: z.number().gt(0).default(4e-3),
  max_period: z.number().gt(0).default(4),
});

/** config.json as it is written. */
export type PolicyConfigJson = z.infer<typeof policyConfigSchema>;
