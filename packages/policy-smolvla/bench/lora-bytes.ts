/**
 * What LoRA trains and sends at full size, by arithmetic from the tensors' shapes:
 *
 *   node --conditions=@zk0/source bench/lora-bytes.ts
 */
import { elementCount, type TensorSpec } from '@zk0/core';
import type { SmolVlaModelConfig } from '../src/model/config.ts';
import { EXPERT_PREFIX, trainedWeightSpecs } from '../src/model/weights.ts';
import { factorSpecs } from '../src/model/lora.ts';

/** The sizes of `lerobot/smolvla_base`. */
const full: SmolVlaModelConfig = {
  vision: { hiddenSize: 768, intermediateSize: 3072, layers: 12, heads: 12, imageSize: 512, patchSize: 16, layerNormEps: 1e-6 },
  text: { hiddenSize: 960, intermediateSize: 2560, heads: 15, kvHeads: 5, headDim: 64, vocabSize: 49280, rmsNormEps: 1e-5 },
  pixelShuffle: 4, imageSize: 512, numVlmLayers: 16, numExpertLayers: 0, expertWidthMultiplier: 0.75, attentionMode: 'cross_attn',
  selfAttnEveryNLayers: 2, chunkSize: 50, maxStateDim: 32, maxActionDim: 32, numSteps: 10, minPeriod: 4e-3, maxPeriod: 4,
  addImageSpecialTokens: false, fakeImageTokenId: 0, globalImageTokenId: 0, freezeVisionEncoder: true, trainExpertOnly: true,
  trainStateProj: true, patchPositions: 'exact', lossReduction: 'valid',
};

const count = (specs: readonly TensorSpec[]): number => specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
const megabytes = (values: number): string => `${((4 * values) / 1e6).toFixed(1)} MB`;

const whole = trainedWeightSpecs(full);
const linear = count(whole.filter(({ name, shape }) => shape.length === 2 && name.startsWith(EXPERT_PREFIX)));
console.log(`weights   ${count(whole)} trained, ${megabytes(count(whole))} up and down; expert's layers ${linear} values`);
for (const rank of [16, 32, 64, 128, 256]) {
  const config = { ...full, lora: { rank, alpha: rank } };
  const [weights, factors] = [count(trainedWeightSpecs(config)), count(factorSpecs(config))];
  const products = (2 * linear + 3 * factors) / (3 * linear);
  console.log(`rank ${String(rank).padStart(3)}  ${factors} trained; up ${megabytes(factors)}, down ${megabytes(weights)}; products of a step ${(100 * products).toFixed(0)} % of those of the weights`);
}
