import type { OnnxModel } from '@zk0/onnx-train';
import { buildEvaluateGraph, buildFullEvaluateGraph, buildFullTrainGraph, buildTrainGraph } from '../model/graphs.ts';
import type { PrefixSource } from '../model/graph-inputs.ts';
import type { GraphShape } from '../model/graph-shape.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';

/** The graph that trains (loss and gradients) or evaluates from what a source gives. */
export function graphFrom(purpose: 'train' | 'evaluate', runtime: ModelRuntime, shape: GraphShape, source: PrefixSource): OnnxModel {
  const { config, weights, precision: products } = runtime;
  if (source.from === 'images') return (purpose === 'train' ? buildFullTrainGraph : buildFullEvaluateGraph)(config, shape, weights, { products });
  const prefix = source.from === 'tokens' ? { fromTokens: true } : { prefixType: source.type };
  return (purpose === 'train' ? buildTrainGraph : buildEvaluateGraph)(config, shape, weights, { products, ...prefix });
}

/** Whether many rows go through frozen weights in these graphs: what `ModelRuntime.session` asks for. */
export function hasManyRows(source: PrefixSource): boolean {
  return source.from === 'images';
}
