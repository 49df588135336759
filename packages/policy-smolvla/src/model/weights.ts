import type { TensorSpec } from '@zk0/core';
import { expertLayerAt, isSelfAttention, modelSizes, type SmolVlaModelConfig } from './config.ts';

/** The part of the model that a tensor belongs to. */
export type WeightPart = 'vision' | 'connector' | 'embedding' | 'text' | 'expert' | 'heads';

/** A tensor of a SmolVLA checkpoint, under LeRobot's name. Linear weights are `[out, in]`. */
export interface WeightSpec extends TensorSpec {
  readonly dtype: 'F32';
  readonly part: WeightPart;
  /** Whether its value can change any output. A checkpoint carries the others too, and they must survive a save. */
  readonly used: boolean;
  /** Whether training changes it. Every trained tensor is used. */
  readonly trained: boolean;
}

const VLM = 'model.vlm_with_expert.vlm';
/** What LeRobot puts before the names that the vision-language model has in its own repository. */
export const VLM_PREFIX = `${VLM}.`;
export const VISION_PREFIX = `${VLM}.model.vision_model`;
export const TEXT_PREFIX = `${VLM}.model.text_model`;
export const CONNECTOR_WEIGHT = `${VLM}.model.connector.modality_projection.proj.weight`;
export const EMBEDDING_WEIGHT = `${TEXT_PREFIX}.embed_tokens.weight`;
export const LM_HEAD_WEIGHT = `${VLM}.lm_head.weight`;
export const EXPERT_PREFIX = 'model.vlm_with_expert.lm_expert';
export const HEADS_PREFIX = 'model';

type Shapes = readonly (readonly [name: string, shape: readonly number[]])[];

/**
 * Every tensor of a checkpoint with this configuration, in LeRobot's names, in the order of the model.
 *
 * What is trained follows LeRobot 0.6.1 (`set_requires_grad`): with `trainExpertOnly` the expert, the action heads and, with
 * `trainStateProj`, the state projection; without it also the connector, the embeddings, the text layers except the last
 * (the last two where the expert is shallower than the text model), and, unless `freezeVisionEncoder`, the vision encoder.
 * (Earlier releases meant to freeze the same, but looked for tensor names that no longer existed.) With LoRA, the adapted
 * weights count as trained: they are what changes from round to round.
 */
export function weightSpecs(config: SmolVlaModelConfig): readonly WeightSpec[] {
  const trainVlm = !config.trainExpertOnly;
  const trainVision = trainVlm && !config.freezeVisionEncoder;
  return [
    ...specs('vision', visionShapes(config), () => true, () => trainVision),
    ...specs('connector', [[CONNECTOR_WEIGHT, connectorShape(config)]], () => true, () => trainVlm),
    ...specs('embedding', [[EMBEDDING_WEIGHT, [config.text.vocabSize, config.text.hiddenSize]]], () => true, () => trainVlm),
    ...textSpecs(config, trainVlm),
    ...specs('text', [[LM_HEAD_WEIGHT, [config.text.vocabSize, config.text.hiddenSize]]], () => false, () => false),
    ...specs('expert', expertShapes(config), () => true, (name) => config.lora === undefined || isAdapted(name)),
    ...specs('heads', headShapes(config), () => true, (name) =>
      config.lora === undefined ? config.trainStateProj || !name.startsWith('model.state_proj.') : isAdapted(name)),
  ];
}

/** Whether LoRA adapts a tensor of the expert or the heads; `LORA_TARGETS` in `lora.ts` is the same as a pattern of modules. */
function isAdapted(name: string): boolean {
  return name.startsWith(`${EXPERT_PREFIX}.`) ? /\.[qv]_proj\.weight$/.test(name) : name.endsWith('.weight');
}

/** The specs of the trained tensors, in the order of {@link weightSpecs}. */
export function trainedWeightSpecs(config: SmolVlaModelConfig): readonly WeightSpec[] {
  return weightSpecs(config).filter(({ trained }) => trained);
}

function specs(
  part: WeightPart,
  shapes: Shapes,
  used: (name: string) => boolean,
  trained: (name: string) => boolean,
): WeightSpec[] {
  return shapes.map(([name, shape]) => ({ name, dtype: 'F32', shape, part, used: used(name), trained: trained(name) }));
}

function visionShapes({ vision }: SmolVlaModelConfig): Shapes {
  const { hiddenSize: width, intermediateSize: inner, patchSize } = vision;
  const linear = (name: string, out: number, into: number): Shapes => [
    [`${name}.weight`, [out, into]],
    [`${name}.bias`, [out]],
  ];
  const norm = (name: string): Shapes => [
    [`${name}.weight`, [width]],
    [`${name}.bias`, [width]],
  ];
  const layers = Array.from({ length: vision.layers }, (_, index): Shapes => {
    const layer = `${VISION_PREFIX}.encoder.layers.${index}`;
    return [
      ...['k', 'v', 'q', 'out'].flatMap((which) => linear(`${layer}.self_attn.${which}_proj`, width, width)),
      ...norm(`${layer}.layer_norm1`),
      ...linear(`${layer}.mlp.fc1`, inner, width),
      ...linear(`${layer}.mlp.fc2`, width, inner),
      ...norm(`${layer}.layer_norm2`),
    ];
  });
  return [
    [`${VISION_PREFIX}.embeddings.patch_embedding.weight`, [width, 3, patchSize, patchSize]],
    [`${VISION_PREFIX}.embeddings.patch_embedding.bias`, [width]],
    [`${VISION_PREFIX}.embeddings.position_embedding.weight`, [Math.floor(vision.imageSize / patchSize) ** 2, width]],
    ...layers.flat(),
    ...norm(`${VISION_PREFIX}.post_layernorm`),
  ];
}

function connectorShape(config: SmolVlaModelConfig): readonly number[] {
  return [config.text.hiddenSize, config.vision.hiddenSize * config.pixelShuffle ** 2];
}

function textSpecs(config: SmolVlaModelConfig, trainVlm: boolean): WeightSpec[] {
  const { prefixLayers, expertLayers, queryWidth, kvWidth } = modelSizes(config);
  const { hiddenSize, intermediateSize } = config.text;
  const frozenFrom = config.numVlmLayers - (expertLayers === config.numVlmLayers ? 1 : 2);
  const layers = Array.from({ length: config.numVlmLayers }, (_, index) => {
    const shapes = decoderShapes(`${TEXT_PREFIX}.layers.${index}`, hiddenSize, intermediateSize, queryWidth, [kvWidth, hiddenSize]);
    // Of the last layer that reaches the expert, only keys and values do.
    const reaches = (name: string): boolean =>
      index < prefixLayers - 1 || (index === prefixLayers - 1 && /\.(input_layernorm|self_attn\.[kv]_proj)\./.test(name));
    return specs('text', shapes, reaches, (name) => trainVlm && index < frozenFrom && reaches(name));
  });
  return [...layers.flat(), ...specs('text', [[`${TEXT_PREFIX}.norm.weight`, [hiddenSize]]], () => false, () => false)];
}

function expertShapes(config: SmolVlaModelConfig): Shapes {
  const { expertLayers, expertWidth, expertIntermediateSize, queryWidth, kvWidth } = modelSizes(config);
  const layers = Array.from({ length: expertLayers }, (_, index): Shapes => {
    const kvInput = isSelfAttention(config, index) ? expertWidth : kvWidth;
    const layer = `${EXPERT_PREFIX}.layers.${index}`;
    return decoderShapes(layer, expertWidth, expertIntermediateSize, queryWidth, [kvWidth, kvInput]);
  });
  return [...layers.flat(), [`${EXPERT_PREFIX}.norm.weight`, [expertWidth]]];
}

function decoderShapes(layer: string, width: number, inner: number, queryWidth: number, kv: readonly number[]): Shapes {
  return [
    [`${layer}.self_attn.q_proj.weight`, [queryWidth, width]],
    [`${layer}.self_attn.k_proj.weight`, kv],
    [`${layer}.self_attn.v_proj.weight`, kv],
    [`${layer}.self_attn.o_proj.weight`, [width, queryWidth]],
    [`${layer}.mlp.gate_proj.weight`, [inner, width]],
    [`${layer}.mlp.up_proj.weight`, [inner, width]],
    [`${layer}.mlp.down_proj.weight`, [width, inner]],
    [`${layer}.input_layernorm.weight`, [width]],
    [`${layer}.post_attention_layernorm.weight`, [width]],
  ];
}

function headShapes(config: SmolVlaModelConfig): Shapes {
  const { expertWidth } = modelSizes(config);
  const linear = (name: string, out: number, into: number): Shapes => [
    [`${HEADS_PREFIX}.${name}.weight`, [out, into]],
    [`${HEADS_PREFIX}.${name}.bias`, [out]],
  ];
  return [
    ...linear('state_proj', config.text.hiddenSize, config.maxStateDim),
    ...linear('action_in_proj', expertWidth, config.maxActionDim),
    ...linear('action_out_proj', config.maxActionDim, expertWidth),
    ...linear('action_time_mlp_in', expertWidth, expertWidth * 2),
    ...linear('action_time_mlp_out', expertWidth, expertWidth),
  ];
}

/** Text layers that have an expert layer beside them, with that layer's number. */
export function pairedLayers(config: SmolVlaModelConfig): readonly { readonly text: number; readonly expert: number | undefined }[] {
  return Array.from({ length: modelSizes(config).prefixLayers }, (_, text) => ({ text, expert: expertLayerAt(config, text) }));
}
