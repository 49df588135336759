import { modelSizes, type SmolVlaModelConfig } from '../model/config.ts';

/** Floating-point operations of one sample in matrix products. */
export interface Work {
  readonly vision: number;
  readonly prefix: number;
  /** Forward and backward; a backward pass counts twice its forward pass. */
  readonly train: number;
  /** All denoising steps. */
  readonly act: number;
}

/** What a sample of `cameras` images and `language` tokens takes. */
export function workOf(model: SmolVlaModelConfig, cameras: number, language: number): Work {
  const { vision, text } = model;
  const sizes = modelSizes(model);
  const patches = sizes.patchesPerSide ** 2;
  const perPatch = vision.layers * (4 * vision.hiddenSize ** 2 + 2 * vision.hiddenSize * vision.intermediateSize);
  const image = 2 * patches * perPatch + 4 * vision.layers * patches ** 2 * vision.hiddenSize;
  const tokens = cameras * sizes.imageTokens + language;
  const layer = (width: number, inner: number, kv: number): number => 2 * width * sizes.queryWidth + 2 * kv * sizes.kvWidth + 3 * width * inner;
  const prefixLayer = layer(text.hiddenSize, text.intermediateSize, text.hiddenSize);
  const prefix = sizes.prefixLayers * (2 * tokens * prefixLayer + 4 * tokens ** 2 * sizes.queryWidth);
  const expertLayer = layer(sizes.expertWidth, sizes.expertIntermediateSize, sizes.expertWidth);
  const chunk = model.chunkSize;
  const expert = sizes.expertLayers * (2 * chunk * expertLayer + 4 * chunk * (tokens + chunk) * sizes.queryWidth);
  return { vision: cameras * image, prefix, train: 3 * expert, act: model.numSteps * expert };
}
