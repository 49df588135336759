import { ops, type Value } from '@zk0/onnx-train';
import type { SmolVlaModelConfig } from './config.ts';
import { EMBEDDING_WEIGHT } from './weights.ts';

/** The gradients of trained weights, that of the embeddings with the padding token's row cleared, as PyTorch leaves it. */
export function withoutPadding({ text }: SmolVlaModelConfig, trained: readonly string[], gradients: readonly Value[]): Value[] {
  return gradients.map((gradient, index) => {
    if (trained[index] !== EMBEDDING_WEIGHT || text.padTokenId === undefined) return gradient;
    const keep = Array.from({ length: text.vocabSize }, (_, token) => (token === text.padTokenId ? 0 : 1));
    return ops.mul(gradient, gradient.graph.constant(keep, 'float32', [text.vocabSize, 1]));
  });
}
