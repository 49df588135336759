import { ops, type DataType, type GraphBuilder, type Value } from '@zk0/onnx-train';
import { modelSizes, type SmolVlaModelConfig } from './config.ts';
import { encodePrefix, type Prefix } from './decoder.ts';
import type { FlowBatch } from './flow-matching.ts';
import { prefixLength, type GraphShape } from './graph-shape.ts';
import type { FrozenOptions } from './graph-start.ts';
import { connect, encodePatches } from './vision-encoder.ts';
import type { WeightTable } from './weight-table.ts';

/** Declares an input that a batch comes in by. */
export type Feed = (name: string, dtype: DataType, shape: readonly number[]) => Value;

/** Inputs that are fed once per run. */
export function feedOf(graph: GraphBuilder): Feed {
  return (name, dtype, shape) => graph.input(name, dtype, shape);
}

/** Inputs that are fed for all steps at once, [steps, …], of which a loop's body sees the step that `iteration` says. */
export function steppedFeedOf(graph: GraphBuilder, steps: number, iteration: Value): Feed {
  return (name, dtype, shape) => ops.gather(graph.input(name, dtype, [steps, ...shape]), iteration);
}

/** What a batch says, and which of its cameras are there. */
export function languageInputs(feed: Feed, shape: GraphShape): { imageMask: Value; tokenIds: Value; tokenMask: Value } {
  return {
    imageMask: feed('imageMask', 'bool', [shape.batch, shape.cameras]),
    tokenIds: feed('tokenIds', 'int64', [shape.batch, shape.languageTokens]),
    tokenMask: feed('tokenMask', 'bool', [shape.batch, shape.languageTokens]),
  };
}

/**
 * Where a batch's prefix comes from: keys and values as a cache kept them, or what the graph itself encodes: image tokens, or
 * images (where the vision-language model is trained too).
 */
export type PrefixSource =
  | { readonly from: 'cache'; readonly type: 'float32' | 'float16' }
  | { readonly from: 'tokens' }
  | { readonly from: 'images' };

/** The prefix from wherever it comes. */
export function prefixFrom(source: PrefixSource, feed: Feed, config: SmolVlaModelConfig, shape: GraphShape, table: WeightTable): Prefix {
  switch (source.from) {
    case 'cache':
      return cachedPrefix(feed, config, shape, source.type);
    case 'tokens':
      return prefixFromTokens(feed, config, shape, table);
    case 'images':
      return prefixFromImages(feed, config, shape, table);
  }
}

/** The prefix that depends on frozen weights alone. */
export function frozenPrefix(feed: Feed, config: SmolVlaModelConfig, shape: GraphShape, table: WeightTable, options: FrozenOptions): Prefix {
  const { fromTokens = false, prefixType = 'float32' } = options;
  return fromTokens ? prefixFromTokens(feed, config, shape, table) : cachedPrefix(feed, config, shape, prefixType);
}

/** The prefix as a cache kept it. */
export function cachedPrefix(feed: Feed, config: SmolVlaModelConfig, shape: GraphShape, type: DataType): Prefix {
  const { prefixLayers, kvWidth } = modelSizes(config);
  const length = prefixLength(config, shape);
  const sizes = Array.from({ length: prefixLayers }, () => 1);
  const layersOf = (name: string): Value[] => {
    const stacked = feed(name, type, [shape.batch, prefixLayers, length, kvWidth]);
    return ops.split(stacked, 1, sizes).map((layer) => ops.cast(ops.reshape(layer, [shape.batch, length, kvWidth]), 'float32'));
  };
  const keys = layersOf('prefixKeys');
  const values = layersOf('prefixValues');
  return {
    layers: keys.map((layer, index) => ({ keys: layer, values: values[index]! })),
    mask: feed('prefixMask', 'bool', [shape.batch, length]),
  };
}

/** The prefix computed from image tokens. */
export function prefixFromTokens(feed: Feed, config: SmolVlaModelConfig, shape: GraphShape, table: WeightTable): Prefix {
  const { batch, cameras, emptyCameras } = shape;
  const imageTokens = feed('imageTokens', 'float32', [batch, cameras, modelSizes(config).imageTokens, config.text.hiddenSize]);
  return encodePrefix(config, table, { imageTokens, ...languageInputs(feed, shape) }, emptyCameras);
}

/** The prefix computed from images. */
export function prefixFromImages(feed: Feed, config: SmolVlaModelConfig, shape: GraphShape, table: WeightTable): Prefix {
  const { batch, cameras, emptyCameras } = shape;
  const side = config.imageSize;
  const images = feed('images', 'float32', [batch, cameras, 3, side, side]);
  const flat = ops.reshape(images, [batch * cameras, 3, side, side]);
  const tokens = connect(config, table, encodePatches(config, table, flat));
  const imageTokens = ops.reshape(tokens, [batch, cameras, modelSizes(config).imageTokens, config.text.hiddenSize]);
  return encodePrefix(config, table, { imageTokens, ...languageInputs(feed, shape) }, emptyCameras);
}

/** States, actions, noise and times of a batch. */
export function flowBatch(feed: Feed, config: SmolVlaModelConfig, shape: GraphShape): FlowBatch {
  const chunk = [shape.batch, config.chunkSize, config.maxActionDim];
  return {
    state: feed('state', 'float32', [shape.batch, config.maxStateDim]),
    actions: feed('actions', 'float32', chunk),
    noise: feed('noise', 'float32', chunk),
    time: feed('time', 'float32', [shape.batch]),
    actionIsPad: feed('actionIsPad', 'bool', [shape.batch, config.chunkSize]),
  };
}
