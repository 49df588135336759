/**
 * @module
 * Layers composed of operators: what networks are usually written in.
 */
import { elementCount } from '@zk0/core/tensors';
import type { Value } from '../graph/value.ts';
import { add, div, mul, pow, sigmoid, sqrt, sub, where } from './elementwise.ts';
import { concat, reshape, split, transpose } from './layout.ts';
import { gemm, matMul } from './matmul.ts';
import { reduceMean, softmax } from './reduce.ts';

/**
 * `x · weightᵀ + bias`, weight [outputs, inputs] as PyTorch's `nn.Linear` stores it.
 *
 * Written as one `Gemm` over all rows, which reads the weight transposed in place: a `Transpose` of a frozen weight would
 * be folded into a second copy of it when the session is made.
 */
export function linear(x: Value, weight: Value, bias?: Value): Value {
  const inputs = x.shape.at(-1) ?? 0;
  const rows = reshape(x, [elementCount(x.shape.slice(0, -1)), inputs]);
  const product = gemm(rows, weight, { transB: true, ...(bias !== undefined && { c: bias }) });
  return reshape(product, [...x.shape.slice(0, -1), weight.shape[0]!]);
}

/** Root-mean-square norm over the last axis, scaled: `x / √(mean(x²) + epsilon) · scale`. */
export function rmsNorm(x: Value, scale: Value, epsilon = 1e-5): Value {
  const meanSquare = reduceMean(mul(x, x), { axes: [-1], keepDims: true });
  return mul(div(x, sqrt(add(meanSquare, epsilon))), scale);
}

/** Layer norm over the last axis in single operators; `ops.layerNormalization` is the fused one. */
export function layerNorm(x: Value, scale: Value, bias: Value, epsilon = 1e-5): Value {
  const centred = sub(x, reduceMean(x, { axes: [-1], keepDims: true }));
  const variance = reduceMean(pow(centred, 2), { axes: [-1], keepDims: true });
  return add(mul(div(centred, sqrt(add(variance, epsilon))), scale), bias);
}

/** Sigmoid linear unit, `x · sigmoid(x)`. */
export function silu(x: Value): Value {
  return mul(x, sigmoid(x));
}

/** [batch, tokens, heads · size] → [batch, heads, tokens, size]. */
export function splitHeads(x: Value, heads: number): Value {
  const [batch, tokens, width] = x.shape as [number, number, number];
  return transpose(reshape(x, [batch, tokens, heads, width / heads]), [0, 2, 1, 3]);
}

/** [batch, heads, tokens, size] → [batch, tokens, heads · size]. */
export function mergeHeads(x: Value): Value {
  const [batch, heads, tokens, size] = x.shape as [number, number, number, number];
  return reshape(transpose(x, [0, 2, 1, 3]), [batch, tokens, heads * size]);
}

/** What a query may attend to, as {@link attention} takes it. */
export interface AttentionOptions {
  /** Factor on the scores; by default 1 / √size. */
  readonly scale?: number;
  /** Bool, broadcasting to [batch, heads, queries, keys]: false hides a key. */
  readonly mask?: Value;
  /** Score of a hidden key. */
  readonly maskValue?: number;
}

/**
 * Scaled dot-product attention with grouped queries: `query` [batch, heads, queries, size], `key` and `value`
 * [batch, groups, keys, size], where `heads` is a multiple of `groups` and neighbouring heads share a group.
 */
export function attention(query: Value, key: Value, value: Value, options: AttentionOptions = {}): Value {
  const [batch, heads, queries, size] = query.shape as [number, number, number, number];
  const [, groups, keys] = key.shape as [number, number, number, number];
  const { scale = 1 / Math.sqrt(size), mask, maskValue = -3.4028234663852886e38 } = options;
  // Heads of one group are rows of one product: no copies of keys and values.
  const grouped = reshape(mul(query, scale), [batch, groups, (heads / groups) * queries, size]);
  const scores = reshape(matMul(grouped, transpose(key)), [batch, heads, queries, keys]);
  const visible = mask === undefined ? scores : where(mask, scores, maskValue);
  const weights = reshape(softmax(visible), [batch, groups, (heads / groups) * queries, keys]);
  return reshape(matMul(weights, value), [batch, heads, queries, size]);
}

/**
 * Rotary position embedding, half-split form: `x` [batch, heads, tokens, size], `sin` and `cos` broadcasting to
 * [batch, heads, tokens, size / 2].
 */
export function rotate(x: Value, sine: Value, cosine: Value): Value {
  const half = x.shape.at(-1)! / 2;
  const [left, right] = split(x, -1, [half, half]) as [Value, Value];
  return concat(
    [sub(mul(left, cosine), mul(right, sine)), add(mul(right, cosine), mul(left, sine))],
    -1,
  );
}
