import { nn, ops, type Value } from '@zk0/onnx-train';
import { attend } from './blocks.ts';
import { modelSizes, type SmolVlaModelConfig } from './config.ts';
import { patchRows } from './patch-positions.ts';
import type { WeightTable } from './weight-table.ts';
import { CONNECTOR_WEIGHT, VISION_PREFIX } from './weights.ts';

/** Images float32 [n, 3, side, side] in [−1, 1] → features of their patches, [n, patches, width] (SigLIP). */
export function encodePatches(config: SmolVlaModelConfig, weights: WeightTable, images: Value): Value {
  const { vision } = config;
  let x = ops.add(embedPatches(config, weights, images), positionTable(config, weights));
  for (let index = 0; index < vision.layers; index++) {
    const layer = `${VISION_PREFIX}.encoder.layers.${index}`;
    const project = (name: string, from: Value): Value => nn.linear(from, ...weights.affine(`${layer}.${name}`));
    const norm = (name: string, from: Value): Value =>
      ops.layerNormalization(from, ...weights.affine(`${layer}.${name}`), vision.layerNormEps);
    const before = norm('layer_norm1', x);
    const heads = (which: string): Value => nn.splitHeads(project(`self_attn.${which}_proj`, before), vision.heads);
    x = ops.add(x, project('self_attn.out_proj', attend(heads('q'), heads('k'), heads('v'))));
    const inner = ops.gelu(project('mlp.fc1', norm('layer_norm2', x)), 'tanh');
    x = ops.add(x, project('mlp.fc2', inner));
  }
  return ops.layerNormalization(x, ...weights.affine(`${VISION_PREFIX}.post_layernorm`), vision.layerNormEps);
}

/**
 * Patch features [n, patches, width] → image tokens [n, tokens, text width]: neighbouring patches are gathered into one
 * token (pixel shuffle), projected, and scaled by √(text width) as the prefix takes them.
 */
export function connect(config: SmolVlaModelConfig, weights: WeightTable, patches: Value): Value {
  const { patchesPerSide, imageTokens } = modelSizes(config);
  const { pixelShuffle: factor, vision, text } = config;
  const count = patches.shape[0]!;
  const side = patchesPerSide / factor;
  const grid = ops.reshape(patches, [count, side, factor, side, factor, vision.hiddenSize]);
  const blocks = ops.transpose(grid, [0, 1, 3, 2, 4, 5]);
  const tokens = ops.reshape(blocks, [count, imageTokens, factor * factor * vision.hiddenSize]);
  return ops.mul(nn.linear(tokens, weights.get(CONNECTOR_WEIGHT)), Math.sqrt(text.hiddenSize));
}

/** The convolution whose stride is its kernel, as one product over flattened patches. */
function embedPatches(config: SmolVlaModelConfig, weights: WeightTable, images: Value): Value {
  const { patchesPerSide: side } = modelSizes(config);
  const { patchSize, hiddenSize } = config.vision;
  const [count, channels] = images.shape as [number, number];
  const used = side * patchSize;
  const covered = ops.slice(ops.slice(images, 2, 0, used), 3, 0, used);
  const grid = ops.reshape(covered, [count, channels, side, patchSize, side, patchSize]);
  const patches = ops.reshape(ops.transpose(grid, [0, 2, 4, 1, 3, 5]), [count, side * side, channels * patchSize * patchSize]);
  const [kernel, bias] = weights.affine(`${VISION_PREFIX}.embeddings.patch_embedding`);
  return nn.linear(patches, ops.reshape(kernel, [hiddenSize, channels * patchSize * patchSize]), bias);
}

function positionTable(config: SmolVlaModelConfig, weights: WeightTable): Value {
  const table = weights.get(`${VISION_PREFIX}.embeddings.position_embedding.weight`);
  const rows = patchRows(config);
  const isWholeTable = rows.length === table.shape[0] && rows.every((row, index) => row === index);
  return isWholeTable ? table : ops.gather(table, table.graph.constant(rows, 'int64'));
}
