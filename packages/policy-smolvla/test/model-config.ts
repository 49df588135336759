import type { SmolVlaModelConfig } from '../src/model/config.ts';

/** A valid configuration for tests to vary. */
export const smallConfig: SmolVlaModelConfig = {
  vision: { hiddenSize: 24, intermediateSize: 36, layers: 2, heads: 4, imageSize: 32, patchSize: 8, layerNormEps: 1e-6 },
  text: { hiddenSize: 32, intermediateSize: 40, heads: 8, kvHeads: 2, headDim: 6, vocabSize: 64, rmsNormEps: 1e-5 },
  pixelShuffle: 2,
  imageSize: 32,
  numVlmLayers: 4,
  numExpertLayers: -1,
  expertWidthMultiplier: 0.75,
  attentionMode: 'cross_attn',
  selfAttnEveryNLayers: 2,
  chunkSize: 5,
  maxStateDim: 7,
  maxActionDim: 6,
  numSteps: 10,
  minPeriod: 4e-3,
  maxPeriod: 4,
  addImageSpecialTokens: false,
  fakeImageTokenId: 61,
  globalImageTokenId: 62,
  freezeVisionEncoder: true,
  trainExpertOnly: true,
  trainStateProj: true,
  patchPositions: 'exact',
  lossReduction: 'valid',
};
