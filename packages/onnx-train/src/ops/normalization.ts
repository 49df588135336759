import { elementCount, sameShape } from '@zk0/core/tensors';
import { GraphError } from '../errors.ts';
import { format } from '../graph/shapes.ts';
import type { Value } from '../graph/value.ts';
import { requireFloat, apply, sameType } from './operand.ts';

/** `(x − mean) / √(variance + epsilon) · scale + bias` over the last axis, as one operator. */
export function layerNormalization(x: Value, scale: Value, bias: Value, epsilon = 1e-5): Value {
  requireLastAxis('LayerNormalization', x, scale);
  requireLastAxis('LayerNormalization', x, bias);
  return apply('LayerNormalization', [x, scale, bias], x, { axis: -1, epsilon: { float: epsilon } });
}

/**
 * `x / √(mean(x²) + epsilon) · scale` over the last axis (RMS norm), as one operator of onnxruntime's own.
 * For a graph in standard operators only, use `nn.rmsNorm`.
 */
export function simplifiedLayerNormalization(x: Value, scale: Value, epsilon = 1e-5): Value {
  requireLastAxis('SimplifiedLayerNormalization', x, scale);
  // onnxruntime registers this operator in the standard domain, for its own fusions.
  return apply('SimplifiedLayerNormalization', [x, scale], x, { axis: -1, epsilon: { float: epsilon }, stash_type: 1 });
}

function requireLastAxis(op: string, x: Value, parameter: Value): void {
  requireFloat(op, x);
  sameType(op, [x, parameter]);
  if (x.shape.length === 0 || !sameShape(parameter.shape, [x.shape.at(-1)!]) || elementCount(parameter.shape) === 0) {
    throw new GraphError(`${op}: parameter ${format(parameter.shape)} for ${format(x.shape)}`);
  }
}
