import { PolicyError } from '../errors.ts';

/** The SigLIP vision encoder of the vision-language model (`vision_config`). */
export interface VisionSizes {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  /** Side of the square images that the position table was made for, in pixels. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly layerNormEps: number;
}

/** The SmolLM2 text model of the vision-language model (`text_config`). */
export interface TextSizes {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly rmsNormEps: number;
  /** The padding token (`pad_token_id`): PyTorch gives its embedding no gradient, wherever it stands. */
  readonly padTokenId?: number | undefined;
}

/**
 * Everything that fixes a SmolVLA's graphs and tensors: the sizes of its vision-language model, and the fields of
 * LeRobot's `configuration_smolvla.py` that change numbers. Camel case of LeRobot's names, with its meanings.
 */
export interface SmolVlaModelConfig {
  readonly vision: VisionSizes;
  readonly text: TextSizes;
  /** Pixel shuffle of the connector: this many patches per side become one image token (`scale_factor`). */
  readonly pixelShuffle: number;
  /** Side of the (square) images fed to the model, in pixels (`resize_imgs_with_padding`). */
  readonly imageSize: number;
  /** Text layers in use: the first ones of the text model. */
  readonly numVlmLayers: number;
  /** Layers of the action expert; 0 or less means as many as the text model. */
  readonly numExpertLayers: number;
  readonly expertWidthMultiplier: number;
  readonly attentionMode: 'cross_attn' | 'self_attn';
  /** In `cross_attn` mode every n-th layer, from the first on, is joint self-attention; 0 or less means none is. */
  readonly selfAttnEveryNLayers: number;
  readonly chunkSize: number;
  readonly maxStateDim: number;
  readonly maxActionDim: number;
  /** Euler steps of sampling. */
  readonly numSteps: number;
  readonly minPeriod: number;
  readonly maxPeriod: number;
  readonly addImageSpecialTokens: boolean;
  /** Token ids around an image when {@link addImageSpecialTokens} is on. */
  readonly fakeImageTokenId: number;
  readonly globalImageTokenId: number;
  readonly freezeVisionEncoder: boolean;
  readonly trainExpertOnly: boolean;
  readonly trainStateProj: boolean;
  /**
   * Which row of the position table a patch gets. `exact`: its own, as in transformers up to 4.54 and from 5.0 on
   * (LeRobot 0.3, 0.5, 0.6). `shifted`: rows and columns 0, 0, 1, 2, …, as transformers 4.55 to 4.57 compute it through
   * rounding (LeRobot 0.4); for checkpoints that were trained that way.
   */
  readonly patchPositions: 'exact' | 'shifted';
  /**
   * How errors become a loss. `valid`: mean over the real action dimensions of the steps inside the episode (LeRobot 0.6).
   * `zeroed`: mean over the real dimensions of all steps, padded steps counted as 0 (0.5). `padded`: mean over all
   * `chunkSize × maxActionDim` entries, padded steps counted as 0 (0.3 and 0.4, which in fact looked for the flags under a
   * misspelt name and so never zeroed any: feed flags of 0 to repeat exactly that).
   */
  readonly lossReduction: 'valid' | 'zeroed' | 'padded';
  /** Low-rank factors are trained in place of the expert's weights; see `lora.ts`. Absent: the weights themselves. */
  readonly lora?: LoraSettings | undefined;
}

/** How weights are adapted by factors of low rank. */
export interface LoraSettings {
  /** Columns of B and rows of A. */
  readonly rank: number;
  /** The product of the factors counts `alpha / rank` times. */
  readonly alpha: number;
}

/** Sizes that follow from a configuration. */
export interface ModelSizes {
  readonly expertWidth: number;
  readonly expertIntermediateSize: number;
  /** Resolved number of expert layers. */
  readonly expertLayers: number;
  /** Width of all query heads together. */
  readonly queryWidth: number;
  /** Width of all key (or value) heads together. */
  readonly kvWidth: number;
  readonly patchesPerSide: number;
  /** Image tokens a camera contributes. */
  readonly imageTokens: number;
  /**
   * Text layers whose keys and values reach the expert: up to the last layer that has an expert beside it. Later ones
   * change nothing.
   */
  readonly prefixLayers: number;
}

/** Widest layer, longest sequence or largest table that is taken for a real model; keeps sizes far from overflow. */
const MAX_SIZE = 1_048_576;
/** Highest rank of an adapter that is taken; factors of a higher one are larger than the weights of this model. */
const MAX_RANK = 1024;

/** The sizes that follow from a configuration that {@link checkModelConfig} accepts. */
export function modelSizes(config: SmolVlaModelConfig): ModelSizes {
  const { text, vision } = config;
  const expertWidth = Math.trunc(text.hiddenSize * config.expertWidthMultiplier);
  const expertLayers = config.numExpertLayers > 0 ? config.numExpertLayers : config.numVlmLayers;
  const patchesPerSide = Math.floor(config.imageSize / vision.patchSize);
  const stride = Math.floor(config.numVlmLayers / expertLayers);
  return {
    expertWidth,
    expertIntermediateSize: expertIntermediateSize(expertWidth),
    expertLayers,
    queryWidth: text.heads * text.headDim,
    kvWidth: text.kvHeads * text.headDim,
    patchesPerSide,
    imageTokens: Math.floor(patchesPerSide / config.pixelShuffle) ** 2,
    prefixLayers: (expertLayers - 1) * stride + 1,
  };
}

/** Width of the expert's feed-forward part: 8/3 of its width, up to the next multiple of 256 (`get_intermediate_size`). */
function expertIntermediateSize(width: number): number {
  return 256 * Math.ceil((4 * Math.trunc((2 * width) / 3)) / 256);
}

/** The expert layer that stands beside a text layer; `undefined` where the expert has none (`get_model_layers`). */
export function expertLayerAt(config: SmolVlaModelConfig, vlmLayer: number): number | undefined {
  const stride = config.numVlmLayers / modelSizes(config).expertLayers;
  return vlmLayer % stride === 0 ? vlmLayer / stride : undefined;
}

/** Whether a layer index counts as joint self-attention. */
export function isSelfAttention(config: SmolVlaModelConfig, layer: number): boolean {
  if (config.attentionMode === 'self_attn') return true;
  return config.selfAttnEveryNLayers > 0 && layer % config.selfAttnEveryNLayers === 0;
}

/**
 * Refuses what LeRobot itself cannot run and what is not implemented here, naming the field.
 *
 * @throws PolicyError POLICY_CONFIG_INVALID for sizes that contradict each other, POLICY_UNSUPPORTED for the rest.
 */
export function checkModelConfig(config: SmolVlaModelConfig): void {
  const { text, vision } = config;
  const sizes: Record<string, number> = {
    'vision.hiddenSize': vision.hiddenSize,
    'vision.intermediateSize': vision.intermediateSize,
    'vision.layers': vision.layers,
    'vision.heads': vision.heads,
    'vision.imageSize': vision.imageSize,
    'vision.patchSize': vision.patchSize,
    'text.hiddenSize': text.hiddenSize,
    'text.intermediateSize': text.intermediateSize,
    'text.heads': text.heads,
    'text.kvHeads': text.kvHeads,
    'text.headDim': text.headDim,
    'text.vocabSize': text.vocabSize,
    pixelShuffle: config.pixelShuffle,
    imageSize: config.imageSize,
    numVlmLayers: config.numVlmLayers,
    chunkSize: config.chunkSize,
    maxStateDim: config.maxStateDim,
    maxActionDim: config.maxActionDim,
    numSteps: config.numSteps,
  };
  for (const [field, size] of Object.entries(sizes)) {
    if (!Number.isSafeInteger(size) || size < 1 || size > MAX_SIZE) {
      throw invalid(field, `${size} is not a whole number from 1 to ${MAX_SIZE}`);
    }
  }
  if (vision.hiddenSize % vision.heads !== 0) throw invalid('vision.heads', 'does not divide vision.hiddenSize');
  if (text.heads % text.kvHeads !== 0) throw invalid('text.kvHeads', 'does not divide text.heads');
  if (text.headDim % 2 !== 0) throw invalid('text.headDim', 'is odd; rotary positions need pairs');
  const derived = modelSizes(config);
  if (derived.expertWidth < 2 || derived.expertWidth % 2 !== 0) {
    throw invalid('expertWidthMultiplier', `gives an expert of width ${derived.expertWidth}; it must be even`);
  }
  if (config.numVlmLayers % derived.expertLayers !== 0) {
    throw invalid('numExpertLayers', `${derived.expertLayers} does not divide numVlmLayers ${config.numVlmLayers}`);
  }
  if (derived.patchesPerSide % config.pixelShuffle !== 0) {
    throw invalid('pixelShuffle', `${config.pixelShuffle} does not divide ${derived.patchesPerSide} patches per side`);
  }
  if (!(config.minPeriod > 0 && config.maxPeriod > config.minPeriod)) {
    throw invalid('minPeriod', `${config.minPeriod} … ${config.maxPeriod} is no range of periods`);
  }
  for (const field of ['fakeImageTokenId', 'globalImageTokenId'] as const) {
    if (config.addImageSpecialTokens && !(config[field] >= 0 && config[field] < text.vocabSize)) {
      throw invalid(field, `${config[field]} is not a token of a vocabulary of ${text.vocabSize}`);
    }
  }
  checkAttentionKinds(config, derived);
  checkLora(config);
}

function checkLora({ lora, trainExpertOnly }: SmolVlaModelConfig): void {
  if (lora === undefined) return;
  const { rank, alpha } = lora;
  if (!Number.isSafeInteger(rank) || rank < 1 || rank > MAX_RANK || !(alpha > 0 && Number.isFinite(alpha))) {
    throw new PolicyError('POLICY_UNSUPPORTED', `LoRA of rank ${rank} and alpha ${alpha}: the rank is a whole number from 1 to ${MAX_RANK}, alpha is above 0`);
  }
  if (trainExpertOnly) return;
  throw new PolicyError('POLICY_UNSUPPORTED', 'LoRA adapts the action expert, and this policy trains its vision-language model too (train_expert_only is false)', {
    hint: 'Train it without LoRA, or set train_expert_only to true in its config.json.',
  });
}

/**
 * LeRobot shapes an expert layer's key and value projections by the *expert's* layer number, but uses them by the
 * *text model's*. Where the two disagree and the widths differ, its own forward pass fails.
 */
function checkAttentionKinds(config: SmolVlaModelConfig, sizes: ModelSizes): void {
  const stride = config.numVlmLayers / sizes.expertLayers;
  for (let layer = 0; layer < sizes.expertLayers; layer++) {
    const shapedForSelf = isSelfAttention(config, layer);
    const usedForSelf = isSelfAttention(config, layer * stride);
    if (shapedForSelf !== usedForSelf && sizes.expertWidth !== sizes.kvWidth) {
      throw unsupported(
        'numExpertLayers',
        `${sizes.expertLayers} with selfAttnEveryNLayers ${config.selfAttnEveryNLayers}: expert layer ${layer} is shaped for ` +
          `${shapedForSelf ? 'self' : 'cross'}-attention and stands beside text layer ${layer * stride}, which needs the other`,
      );
    }
  }
}

function invalid(field: string, problem: string): PolicyError {
  return new PolicyError('POLICY_CONFIG_INVALID', `SmolVLA configuration: ${field}: ${problem}`, {
    hint: `Correct ${field} in config.json.`,
  });
}

function unsupported(field: string, problem: string): PolicyError {
  return new PolicyError('POLICY_UNSUPPORTED', `SmolVLA configuration: ${field}: ${problem}`, {
    hint: 'This combination does not run in LeRobot or is not implemented here; use another checkpoint.',
  });
}
