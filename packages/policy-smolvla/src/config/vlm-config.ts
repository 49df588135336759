import * as z from 'zod';
import type { TextSizes, VisionSizes } from '../model/config.ts';

/** Architecture of the vision-language model under a policy: what its own config.json says. */
export interface VlmConfig {
  readonly vision: VisionSizes;
  readonly text: TextSizes;
  /** Layers of the published text model; a policy keeps the first `num_vlm_layers`. */
  readonly textLayers: number;
  /** Side of the square of patches that the connector folds into one token. */
  readonly pixelShuffle: number;
}

const size = z.int().min(1).max(1_000_000);
const epsilon = z.number().gt(0).max(1);

/**
 * config.json of SmolVLM (transformers `SmolVLMConfig`); only what shapes the computation is read. What published files leave
 * out has the default of `SmolVLMVisionConfig`.
 */
export const vlmConfigSchema = z
  .looseObject({
    model_type: z.enum(['smolvlm', 'idefics3']),
    scale_factor: size.default(2),
    vision_config: z.looseObject({
      hidden_size: size.default(1152),
      intermediate_size: size.default(3072),
      num_hidden_layers: size.default(12),
      num_attention_heads: size.default(16),
      num_channels: z.literal(3).default(3),
      image_size: size.default(224),
      patch_size: size.default(32),
      hidden_act: z.literal('gelu_pytorch_tanh').default('gelu_pytorch_tanh'),
      layer_norm_eps: epsilon.default(1e-6),
    }),
    text_config: z.looseObject({
      hidden_size: size,
      intermediate_size: size,
      num_hidden_layers: size,
      num_attention_heads: size,
      num_key_value_heads: size,
      head_dim: size.optional(),
      hidden_act: z.literal('silu').default('silu'),
      rms_norm_eps: epsilon,
      attention_bias: z.literal(false).default(false),
      mlp_bias: z.literal(false).default(false),
      vocab_size: size,
      pad_token_id: z.int().min(0).nullish(),
    }),
  })
  .transform(({ scale_factor, vision_config: vision, text_config: text }): VlmConfig => ({
    pixelShuffle: scale_factor,
    textLayers: text.num_hidden_layers,
    vision: {
      hiddenSize: vision.hidden_size,
      intermediateSize: vision.intermediate_size,
      layers: vision.num_hidden_layers,
      heads: vision.num_attention_heads,
      imageSize: vision.image_size,
      patchSize: vision.patch_size,
      layerNormEps: vision.layer_norm_eps,
    },
    text: {
      hiddenSize: text.hidden_size,
      intermediateSize: text.intermediate_size,
      heads: text.num_attention_heads,
      kvHeads: text.num_key_value_heads,
      headDim: text.head_dim ?? text.hidden_size / text.num_attention_heads,
      vocabSize: text.vocab_size,
      rmsNormEps: text.rms_norm_eps,
      padTokenId: text.pad_token_id ?? undefined,
    },
  }));

/** Architectures that policies name by a hub id without shipping their config.json. */
export const KNOWN_VLMS: Readonly<Record<string, VlmConfig>> = {
  'HuggingFaceTB/SmolVLM2-500M-Video-Instruct': {
    pixelShuffle: 4,
    textLayers: 32,
    vision: {
      hiddenSize: 768,
      intermediateSize: 3072,
      layers: 12,
      heads: 12,
      imageSize: 512,
      patchSize: 16,
      layerNormEps: 1e-6,
    },
    text: {
      hiddenSize: 960,
      intermediateSize: 2560,
      heads: 15,
      kvHeads: 5,
      headDim: 64,
      vocabSize: 49280,
      rmsNormEps: 1e-5,
    },
  },
};
