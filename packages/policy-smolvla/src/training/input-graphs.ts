import type { OnnxModel } from '@zk0/onnx-train';
import { buildEvaluateGraph, buildFullEvaluateGraph, buildFullTrainGraph, buildTrainGraph } from '../model/graphs.ts';
import type { PrefixSource } from '../model/graph-inputs.ts';
import type { GraphShape } from '../model/graph-shape.ts';
import type { FrozenOptions } from '../model/graph-start.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';

/** The graph that computes loss and gradients of a batch, in so many parts, from what a source gives. */
export function trainGraphFrom({ config, weights, precision: products }: ModelRuntime, shape: GraphShape, source: PrefixSource, parts: number): OnnxModel {
  if (source.from === 'images') return buildFullTrainGraph(config, shape, weights, { products, parts });
  return buildTrainGraph(config, shape, weights, { products, parts, ...prefixOptions(source) });
}

/** The graph that evaluates what a source gives. */
export function evaluateGraphFrom({ config, weights, precision: products }: ModelRuntime, shape: GraphShape, source: PrefixSource): OnnxModel {
  if (source.from === 'images') return buildFullEvaluateGraph(config, shape, weights, { products });
  return buildEvaluateGraph(config, shape, weights, { products, ...prefixOptions(source) });
}

function prefixOptions(source: Exclude<PrefixSource, { readonly from: 'images' }>): FrozenOptions {
  return source.from === 'tokens' ? { fromTokens: true } : { prefixType: source.type };
}

/** Whether many rows go through frozen weights in these graphs: what `ModelRuntime.session` asks for. */
export function hasManyRows(source: PrefixSource): boolean {
  return source.from === 'images';
}
