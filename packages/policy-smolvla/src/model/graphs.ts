/**
 * @module
 * The graphs that SmolVLA runs as. Each is written for one configuration and one {@link GraphShape}; all inputs and
 * outputs are float32 unless said otherwise, sizes in the order of the configuration's names.
 *
 * | graph | in | out |
 * |---|---|---|
 * | vision | `images` [n, 3, side, side] in −1 … 1 | `imageTokens` [n, tokens, text width] |
 * | prefix | `imageTokens` [batch, cameras, tokens, text width], `imageMask` bool [batch, cameras], `tokenIds` int64 and `tokenMask` bool [batch, language] | `prefixKeys`, `prefixValues` [batch, layers, prefix, kvWidth], `prefixMask` bool [batch, prefix] |
 * | train | the prefix's outputs, `state` [batch, maxStateDim], `actions`, `noise` [batch, chunk, maxActionDim], `time` [batch], `actionIsPad` bool [batch, chunk], every trained weight by its name, with LoRA also its factors | `loss` [], `gradient/<weight>` each, with LoRA of the factors |
 * | evaluate | as train | `loss`, `lossSum`, `lossCount` [] |
 * | train step, train loop | see `device-training.ts` | |
 * | sample | the prefix's outputs, `state`, `noise`, and the trained weights that are not part of the model | `actions` [batch, chunk, maxActionDim] |
 * | train, evaluate, sample from tokens | the prefix graph's inputs instead of its outputs | as without |
 * | full train, full evaluate, full sample | `images` [batch, cameras, 3, side, side], `imageMask`, `tokenIds`, `tokenMask` instead of the prefix's outputs | as without `full` |
 *
 * The prefix's outputs depend on frozen weights alone while `trainExpertOnly` holds, so they can be kept per frame. Without
 * it the full graphs must be used.
 */
import { differentiate, encodeModel, ops, type GraphBuilder, type OnnxModel, type Value } from '@zk0/onnx-train';
import { lossShares } from './batch-loss.ts';
import type { SmolVlaModelConfig } from './config.ts';
import type { Prefix } from './decoder.ts';
import { flowMatchingLoss, sampleActions, type Loss } from './flow-matching.ts';
import { feedOf, flowBatch, frozenPrefix, prefixFromImages, prefixFromTokens, type Feed } from './graph-inputs.ts';
import { gradientName, type GraphShape, type WeightSource } from './graph-shape.ts';
import { connect, encodePatches } from './vision-encoder.ts';
import { requireFrozenPrefix, start, type BatchParts, type FrozenOptions, type PrecisionOptions, type Started } from './graph-start.ts';
import { withoutPadding } from './padding-gradient.ts';
import type { WeightTable } from './weight-table.ts';

/** Images to scaled image tokens; `images` of one run at a time. */
export function buildVisionGraph(
  config: SmolVlaModelConfig,
  images: number,
  weights: WeightSource,
  options: PrecisionOptions = {},
): OnnxModel {
  const { graph, table } = start('vision', config, weights, 'none', options);
  const input = graph.input('images', 'float32', [images, 3, config.imageSize, config.imageSize]);
  graph.output('imageTokens', connect(config, table, encodePatches(config, table, input)));
  return encodeModel(graph);
}

/** Image and language tokens to the keys and values of every text layer that reaches the expert. */
export function buildPrefixGraph(
  config: SmolVlaModelConfig,
  shape: GraphShape,
  weights: WeightSource,
  options: PrecisionOptions = {},
): OnnxModel {
  const { graph, table } = start('prefix', config, weights, 'none', options, shape);
  const prefix = prefixFromTokens(feedOf(graph), config, shape, table);
  const stack = (which: 'keys' | 'values'): Value => ops.concat(prefix.layers.map((layer) => ops.unsqueeze(layer[which], [1])), 1);
  graph.output('prefixKeys', stack('keys'));
  graph.output('prefixValues', stack('values'));
  graph.output('prefixMask', prefix.mask);
  return encodeModel(graph);
}

/** One batch's policy loss and its gradient for every trained weight; the proximal term is the optimiser's. */
export function buildTrainGraph(
  config: SmolVlaModelConfig,
  shape: GraphShape,
  weights: WeightSource,
  options: FrozenOptions & BatchParts = {},
): OnnxModel {
  requireFrozenPrefix(config);
  const started = start('train', config, weights, 'optimized', options, shape);
  return withGradients(started, config, shape, options, (feed, part) => frozenPrefix(feed, config, part, started.table, options));
}

/** As {@link buildTrainGraph}, from images, with the prefix computed and differentiated inside. */
export function buildFullTrainGraph(
  config: SmolVlaModelConfig,
  shape: GraphShape,
  weights: WeightSource,
  options: PrecisionOptions & BatchParts = {},
): OnnxModel {
  const started = start('trainFull', config, weights, 'optimized', options, shape);
  return withGradients(started, config, shape, options, (feed, part) => prefixFromImages(feed, config, part, started.table));
}

/** One batch's policy loss, without gradients. */
export function buildEvaluateGraph(
  config: SmolVlaModelConfig,
  shape: GraphShape,
  weights: WeightSource,
  options: FrozenOptions = {},
): OnnxModel {
  requireFrozenPrefix(config);
  const { graph, table } = start('evaluate', config, weights, 'trained', options, shape);
  return withLossParts(graph, lossOf(feedOf(graph), config, shape, table, frozenPrefix(feedOf(graph), config, shape, table, options)));
}

/** As {@link buildEvaluateGraph}, from images. */
export function buildFullEvaluateGraph(
  config: SmolVlaModelConfig,
  shape: GraphShape,
  weights: WeightSource,
  options: PrecisionOptions = {},
): OnnxModel {
  const { graph, table } = start('evaluateFull', config, weights, 'trained', options, shape);
  return withLossParts(graph, lossOf(feedOf(graph), config, shape, table, prefixFromImages(feedOf(graph), config, shape, table)));
}

/** A chunk of actions from noise. Trained weights that `weights` has data for become part of the model, others inputs. */
export function buildSampleGraph(
  config: SmolVlaModelConfig,
  shape: GraphShape,
  weights: WeightSource,
  options: FrozenOptions = {},
): OnnxModel {
  requireFrozenPrefix(config);
  const { graph, table } = start('sample', config, weights, 'absent', options, shape);
  return withActions(graph, config, shape, table, frozenPrefix(feedOf(graph), config, shape, table, options));
}

/** As {@link buildSampleGraph}, from images. */
export function buildFullSampleGraph(
  config: SmolVlaModelConfig,
  shape: GraphShape,
  weights: WeightSource,
  options: PrecisionOptions = {},
): OnnxModel {
  const { graph, table } = start('sampleFull', config, weights, 'absent', options, shape);
  return withActions(graph, config, shape, table, prefixFromImages(feedOf(graph), config, shape, table));
}

function lossOf(feed: Feed, config: SmolVlaModelConfig, shape: GraphShape, table: WeightTable, prefix: Prefix): Loss {
  return flowMatchingLoss(config, table, prefix, flowBatch(feed, config, shape), shape.actionSize);
}

function withGradients(
  { graph, table, optimized }: Started,
  config: SmolVlaModelConfig,
  shape: GraphShape,
  { parts = 1 }: BatchParts,
  prefixOf: (feed: Feed, shape: GraphShape) => Prefix,
): OnnxModel {
  const weights = optimized.map((name) => table.get(name));
  const write = (feed: Feed, part: GraphShape): Loss => lossOf(feed, config, part, table, prefixOf(feed, part));
  const { loss, gradients } = differentiate(graph, weights, lossShares(config, shape, parts, feedOf(graph), write), { parts });
  graph.output('loss', loss);
  withoutPadding(config, optimized, gradients).forEach((gradient, index) => {
    graph.output(gradientName(optimized[index]!), gradient);
  });
  return encodeModel(graph);
}

function withLossParts(graph: GraphBuilder, loss: Loss): OnnxModel {
  graph.output('loss', loss.mean);
  graph.output('lossSum', loss.sum);
  graph.output('lossCount', loss.count);
  return encodeModel(graph);
}

function withActions(graph: GraphBuilder, config: SmolVlaModelConfig, shape: GraphShape, table: WeightTable, prefix: Prefix): OnnxModel {
  const state = graph.input('state', 'float32', [shape.batch, config.maxStateDim]);
  const noise = graph.input('noise', 'float32', [shape.batch, config.chunkSize, config.maxActionDim]);
  graph.output('actions', sampleActions(config, table, prefix, state, noise));
  return encodeModel(graph);
}
