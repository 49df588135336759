import { PolicyError } from '../errors.ts';
import type { FeatureConfig, NormalizationMode, PolicyConfigJson, SmolVlaConfig } from './policy-config.ts';
import type { VlmConfig } from './vlm-config.ts';

/**
 * Joins a policy's config.json with its VLM's architecture.
 *
 * @throws PolicyError POLICY_UNSUPPORTED naming the field that this implementation does not run;
 *   POLICY_CONFIG_INVALID where fields contradict each other.
 */
export function resolveConfig(json: PolicyConfigJson, vlm: VlmConfig): SmolVlaConfig {
  const numVlmLayers = json.num_vlm_layers > 0 ? json.num_vlm_layers : vlm.text.numHiddenLayers;
  const numExpertLayers = json.num_expert_layers > 0 ? json.num_expert_layers : numVlmLayers;
  checkConsistent(json, vlm, numVlmLayers, numExpertLayers);
  checkSupported(json, vlm);
  return {
    vlmModelName: json.vlm_model_name,
    vlm,
    inputFeatures: knownFeatures(json.input_features, 'input_features'),
    outputFeatures: knownFeatures(json.output_features, 'output_features'),
    normalization: {
      state: normalizationMode(json, 'STATE'),
      action: normalizationMode(json, 'ACTION'),
    },
    chunkSize: json.chunk_size,
    nActionSteps: json.n_action_steps,
    maxStateDim: json.max_state_dim,
    maxActionDim: json.max_action_dim,
    emptyCameras: json.empty_cameras,
    tokenizerMaxLength: json.tokenizer_max_length,
    padLanguageTo: oneOf(json.pad_language_to, ['longest', 'max_length'], 'pad_language_to'),
    numSteps: json.num_steps,
    freezeVisionEncoder: json.freeze_vision_encoder,
    trainExpertOnly: json.train_expert_only,
    trainStateProj: json.train_state_proj,
    addImageSpecialTokens: json.add_image_special_tokens,
    attentionMode: oneOf(json.attention_mode, ['cross_attn', 'self_attn'], 'attention_mode'),
    prefixLength: json.prefix_length,
    numVlmLayers,
    numExpertLayers,
    selfAttnEveryNLayers: json.self_attn_every_n_layers,
    expertWidthMultiplier: json.expert_width_multiplier,
    minPeriod: json.min_period,
    maxPeriod: json.max_period,
    optimizer: {
      learningRate: json.optimizer_lr,
      betas: json.optimizer_betas,
      epsilon: json.optimizer_eps,
      weightDecay: json.optimizer_weight_decay,
      gradClipNorm: json.optimizer_grad_clip_norm,
    },
  };
}

function checkConsistent(json: PolicyConfigJson, vlm: VlmConfig, vlmLayers: number, expertLayers: number): void {
  if (json.n_action_steps > json.chunk_size) {
    throw invalid(`n_action_steps ${json.n_action_steps} is more than chunk_size ${json.chunk_size}`);
  }
  if (vlmLayers > vlm.text.numHiddenLayers) {
    throw invalid(`num_vlm_layers ${vlmLayers} is more than the ${vlm.text.numHiddenLayers} layers of ${json.vlm_model_name}`);
  }
  if (vlmLayers % expertLayers !== 0) {
    throw invalid(`num_vlm_layers ${vlmLayers} is no multiple of num_expert_layers ${expertLayers}`);
  }
  if (Math.trunc(vlm.text.hiddenSize * json.expert_width_multiplier) % 2 !== 0) {
    throw invalid(`expert_width_multiplier ${json.expert_width_multiplier} gives an odd width; the time embedding needs an even one`);
  }
}

function checkSupported(json: PolicyConfigJson, vlm: VlmConfig): void {
  if (json.n_obs_steps !== 1) throw unsupported('n_obs_steps', json.n_obs_steps, '1');
  if (json.adapt_to_pi_aloha) throw unsupported('adapt_to_pi_aloha', true, 'false');
  if (json.use_delta_joint_actions_aloha) throw unsupported('use_delta_joint_actions_aloha', true, 'false');
  const size = vlm.vision.imageSize;
  const resize = json.resize_imgs_with_padding;
  if (resize === null || resize[0] !== size || resize[1] !== size) {
    throw unsupported('resize_imgs_with_padding', resize, `[${size}, ${size}], the vision encoder's own size`);
  }
  const visual = json.normalization_mapping.VISUAL ?? 'IDENTITY';
  if (visual !== 'IDENTITY') throw unsupported('normalization_mapping.VISUAL', visual, 'IDENTITY');
}

function knownFeatures(features: PolicyConfigJson['input_features'], field: string): Record<string, FeatureConfig> {
  return Object.fromEntries(
    Object.entries(features).map(([key, { type, shape }]) => {
      if (type !== 'STATE' && type !== 'ACTION' && type !== 'VISUAL') {
        throw unsupported(`${field}.${key}.type`, type, 'STATE, ACTION or VISUAL');
      }
      return [key, { type, shape }];
    }),
  );
}

function normalizationMode(json: PolicyConfigJson, kind: 'STATE' | 'ACTION'): NormalizationMode {
  return oneOf(json.normalization_mapping[kind] ?? 'IDENTITY', ['MEAN_STD', 'IDENTITY'], `normalization_mapping.${kind}`);
}

function oneOf<T extends string>(value: string, allowed: readonly T[], field: string): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw unsupported(field, value, allowed.join(' or '));
  return found;
}

function invalid(message: string): PolicyError {
  return new PolicyError('POLICY_CONFIG_INVALID', `policy configuration: ${message}`, {
    hint: 'Correct config.json, or download the policy again.',
  });
}

function unsupported(field: string, value: unknown, supported: string): PolicyError {
  return new PolicyError('POLICY_UNSUPPORTED', `policy configuration: ${field} = ${JSON.stringify(value)} is not supported`, {
    hint: `Use a policy with ${field} = ${supported}.`,
  });
}
