import { describe, expect, it } from 'vitest';
import { smallConfig } from '../../test/model-config.ts';
import { checkModelConfig, expertLayerAt, modelSizes, type SmolVlaModelConfig } from './config.ts';

const { text, vision } = smallConfig;

describe('a model configuration', () => {
  it('gives the sizes of lerobot/smolvla_base', () => {
    const base: SmolVlaModelConfig = {
      ...smallConfig,
      vision: { ...vision, hiddenSize: 768, heads: 12, imageSize: 512, patchSize: 16 },
      text: { ...text, hiddenSize: 960, heads: 15, kvHeads: 5, headDim: 64 },
      pixelShuffle: 4,
      imageSize: 512,
      numVlmLayers: 16,
    };
    expect(modelSizes(base)).toEqual({
      expertWidth: 720,
      expertIntermediateSize: 2048,
      expertLayers: 16,
      queryWidth: 960,
      kvWidth: 320,
      patchesPerSide: 32,
      imageTokens: 64,
      prefixLayers: 16,
    });
  });

  it('spreads a shallow expert over the text model and drops what comes after it', () => {
    const half = { ...smallConfig, numExpertLayers: 2, attentionMode: 'self_attn' as const };
    expect([0, 1, 2, 3].map((layer) => expertLayerAt(half, layer))).toEqual([0, undefined, 1, undefined]);
    expect(modelSizes(half).prefixLayers).toBe(3);
  });

  it.each<[string, Partial<SmolVlaModelConfig>, RegExp]>([
    ['a size that is none', { chunkSize: 0 }, /chunkSize: 0 is not a whole number/],
    ['a size beyond all reason', { text: { ...text, vocabSize: 2 ** 40 } }, /text\.vocabSize/],
    ['heads that do not divide', { vision: { ...vision, heads: 5 } }, /vision\.heads/],
    ['groups that do not divide', { text: { ...text, kvHeads: 3 } }, /text\.kvHeads/],
    ['heads of odd size', { text: { ...text, headDim: 5 } }, /text\.headDim/],
    ['an expert of odd width', { expertWidthMultiplier: 0.1 }, /expertWidthMultiplier: gives an expert of width 3/],
    ['an expert that does not divide', { numExpertLayers: 3 }, /numExpertLayers: 3 does not divide numVlmLayers 4/],
    ['patches that do not shuffle', { pixelShuffle: 3 }, /pixelShuffle: 3 does not divide 4/],
    ['no range of periods', { minPeriod: 4 }, /minPeriod/],
    ['a special token outside the vocabulary', { addImageSpecialTokens: true, fakeImageTokenId: 64 }, /fakeImageTokenId/],
  ])('is refused with %s', (_, change, message) => {
    expect(() => {
      checkModelConfig({ ...smallConfig, ...change });
    }).toThrow(expect.objectContaining({ code: 'POLICY_CONFIG_INVALID', message: expect.stringMatching(message) as string }));
  });

  it('is refused where LeRobot shapes an expert layer for the other kind of attention', () => {
    expect(() => {
      checkModelConfig({ ...smallConfig, numExpertLayers: 2 });
    }).toThrow(expect.objectContaining({ code: 'POLICY_UNSUPPORTED', message: expect.stringContaining('expert layer 1') as string }));
  });
});
