import * as z from 'zod';

/** The vision encoder (SigLIP as SmolVLM has it). */
export interface VisionConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly imageSize: number;
  readonly patchSize: number;
  readonly layerNormEps: number;
}

/** The language model (Llama as SmolLM2 has it). */
export interface TextConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  /** Layers of the published model; the policy keeps the first `numVlmLayers`. */
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly rmsNormEps: number;
  readonly vocabSize: number;
}

/** Architecture of the vision-language model under a policy: what its own config.json says. */
export interface VlmConfig {
  readonly vision: VisionConfig;
  readonly text: TextConfig;
  /** Side of the square of patches that the connector folds into one token. */
  readonly scaleFactor: number;
}

const size = z.int().min(1).max(1_000_000);
const epsilon = z.number().gt(0).max(1);

/** config.json of SmolVLM (transformers `SmolVLMConfig`); only what shapes the computation is read. */
export const vlmConfigSchema = z
  .looseObject({
    model_type: z.enum(['smolvlm', 'idefics3']),
    scale_factor: size,
    vision_config: z.looseObject({
      hidden_size: size,
      intermediate_size: size,
      num_hidden_layers: size,
      num_attention_heads: size,
      num_channels: z.literal(3).default(3),
      image_size: size,
      patch_size: size,
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
    }),
  })
  .transform(({ scale_factor, vision_config: vision, text_config: text }): VlmConfig => ({
    scaleFactor: scale_factor,
    vision: {
      hiddenSize: vision.hidden_size,
      intermediateSize: vision.intermediate_size,
      numHiddenLayers: vision.num_hidden_layers,
      numAttentionHeads: vision.num_attention_heads,
      imageSize: vision.image_size,
      patchSize: vision.patch_size,
      layerNormEps: vision.layer_norm_eps,
    },
    text: {
      hiddenSize: text.hidden_size,
      intermediateSize: text.intermediate_size,
      numHiddenLayers: text.num_hidden_layers,
      numAttentionHeads: text.num_attention_heads,
      numKeyValueHeads: text.num_key_value_heads,
      headDim: text.head_dim ?? text.hidden_size / text.num_attention_heads,
      rmsNormEps: text.rms_norm_eps,
      vocabSize: text.vocab_size,
    },
  }))
  .superRefine((config, context) => {
    for (const message of contradictions(config)) context.addIssue({ code: 'custom', message });
  });

function* contradictions({ vision, text, scaleFactor }: VlmConfig): Iterable<string> {
  if (vision.hiddenSize % vision.numAttentionHeads !== 0) {
    yield `vision hidden_size ${vision.hiddenSize} is no multiple of ${vision.numAttentionHeads} heads`;
  }
  if (vision.imageSize % (vision.patchSize * scaleFactor) !== 0) {
    yield `image_size ${vision.imageSize} is no multiple of patch_size × scale_factor = ${vision.patchSize * scaleFactor}`;
  }
  if (text.numAttentionHeads % text.numKeyValueHeads !== 0) {
    yield `${text.numAttentionHeads} attention heads are no multiple of ${text.numKeyValueHeads} key-value heads`;
  }
  if (!Number.isInteger(text.headDim) || text.headDim % 2 !== 0) yield `head_dim ${text.headDim} is not an even integer`;
}

/** Architectures that policies name by a hub id without shipping their config.json. */
export const KNOWN_VLMS: Readonly<Record<string, VlmConfig>> = {
  'HuggingFaceTB/SmolVLM2-500M-Video-Instruct': {
    scaleFactor: 4,
    vision: {
      hiddenSize: 768,
      intermediateSize: 3072,
      numHiddenLayers: 12,
      numAttentionHeads: 12,
      imageSize: 512,
      patchSize: 16,
      layerNormEps: 1e-6,
    },
    text: {
      hiddenSize: 960,
      intermediateSize: 2560,
      numHiddenLayers: 32,
      numAttentionHeads: 15,
      numKeyValueHeads: 5,
      headDim: 64,
      rmsNormEps: 1e-5,
      vocabSize: 49280,
    },
  },
};

/** Image tokens that one camera contributes. */
export function imageTokenCount({ vision, scaleFactor }: VlmConfig): number {
  return (vision.imageSize / vision.patchSize / scaleFactor) ** 2;
}
