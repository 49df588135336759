import { PolicyError } from '../errors.ts';
import type { FeatureConfig, NormalizationMode, PolicyConfigJson, SmolVlaConfig } from './policy-config.ts';
import { checkModelConfig, type SmolVlaModelConfig } from '../model/config.ts';
import type { VlmConfig } from './vlm-config.ts';

/** Ids that the tokenizer gives to the tokens around an image. */
export interface ImageTokenIds {
  readonly fakeImageTokenId: number;
  readonly globalImageTokenId: number;
}

/**
 * Joins a policy's config.json with its VLM's architecture and its tokenizer's ids.
 *
 * `prefix_length` and `pad_language_to` have no place in the result: padding is masked and changes no number.
 *
 * @throws PolicyError POLICY_UNSUPPORTED naming the field that this implementation does not run;
 *   POLICY_CONFIG_INVALID where fields contradict each other.
 */
export function resolveConfig(json: PolicyConfigJson, vlm: VlmConfig, tokens: ImageTokenIds): SmolVlaConfig {
  if (json.n_action_steps > json.chunk_size) {
    throw invalid(`n_action_steps ${json.n_action_steps} is more than chunk_size ${json.chunk_size}`);
  }
  const numVlmLayers = json.num_vlm_layers > 0 ? json.num_vlm_layers : vlm.textLayers;
  if (numVlmLayers > vlm.textLayers) {
    throw invalid(`num_vlm_layers ${numVlmLayers} is more than the ${vlm.textLayers} layers of ${json.vlm_model_name}`);
  }
  checkSupported(json);
  const model: SmolVlaModelConfig = {
    vision: vlm.vision,
    text: vlm.text,
    pixelShuffle: vlm.pixelShuffle,
    imageSize: json.resize_imgs_with_padding![0],
    numVlmLayers,
    numExpertLayers: json.num_expert_layers,
    expertWidthMultiplier: json.expert_width_multiplier,
    attentionMode: oneOf(json.attention_mode, ['cross_attn', 'self_attn'], 'attention_mode'),
    selfAttnEveryNLayers: json.self_attn_every_n_layers,
    chunkSize: json.chunk_size,
    maxStateDim: json.max_state_dim,
    maxActionDim: json.max_action_dim,
    numSteps: json.num_steps,
    minPeriod: json.min_period,
    maxPeriod: json.max_period,
    addImageSpecialTokens: json.add_image_special_tokens,
    fakeImageTokenId: tokens.fakeImageTokenId,
    globalImageTokenId: tokens.globalImageTokenId,
    freezeVisionEncoder: json.freeze_vision_encoder,
    trainExpertOnly: json.train_expert_only,
    trainStateProj: json.train_state_proj,
    patchPositions: 'exact',
    lossReduction: 'valid',
  };
  checkModelConfig(model);
  return {
    model,
    vlmModelName: json.vlm_model_name,
    inputFeatures: knownFeatures(json.input_features, 'input_features'),
    outputFeatures: knownFeatures(json.output_features, 'output_features'),
    normalization: {
      state: normalizationMode(json, 'STATE'),
      action: normalizationMode(json, 'ACTION'),
    },
    nActionSteps: json.n_action_steps,
    emptyCameras: json.empty_cameras,
    tokenizerMaxLength: json.tokenizer_max_length,
    optimizer: {
      learningRate: json.optimizer_lr,
      betas: json.optimizer_betas,
      epsilon: json.optimizer_eps,
      weightDecay: json.optimizer_weight_decay,
      gradClipNorm: json.optimizer_grad_clip_norm,
    },
  };
}

function checkSupported(json: PolicyConfigJson): void {
  if (json.n_obs_steps !== 1) throw unsupported('n_obs_steps', json.n_obs_steps, '1');
  if (json.adapt_to_pi_aloha) throw unsupported('adapt_to_pi_aloha', true, 'false');
  if (json.use_delta_joint_actions_aloha) throw unsupported('use_delta_joint_actions_aloha', true, 'false');
  const resize = json.resize_imgs_with_padding;
  if (resize === null || resize[0] !== resize[1]) {
    throw unsupported('resize_imgs_with_padding', resize, 'a square, such as [512, 512]');
  }
  const visual = json.normalization_mapping.VISUAL ?? 'IDENTITY';
  if (visual !== 'IDENTITY') throw unsupported('normalization_mapping.VISUAL', visual, 'IDENTITY');
  oneOf(json.pad_language_to, ['longest', 'max_length'], 'pad_language_to');
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
