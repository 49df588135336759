/**
 * @module
 * The layers that SmolVLA's towers are made of. Tokens are [batch, tokens, width], or rows of them all, [batch · tokens, width], as
 * products take them; heads are [batch, heads, tokens, size].
 */
import { nn, ops, type GraphBuilder, type Value } from '@zk0/onnx-train';

/** The score of a key that must not be seen: the smallest float32, as LeRobot's eager attention takes it. */
export const HIDDEN = -3.4028234663852886e38;

/** Longest wavelength of the rotary positions of both towers (LeRobot's `apply_rope`, not SmolLM2's own 100 000). */
const MAX_WAVELENGTH = 10_000;

/** Feed-forward part of the text model and the expert: `down(silu(gate(x)) · up(x))`. */
export function swiGlu(x: Value, gate: Value, up: Value, down: Value): Value {
  return nn.linear(ops.mul(nn.silu(nn.linear(x, gate)), nn.linear(x, up)), down);
}

/** All tokens of a batch one below the other: [batch · tokens, width]. */
export function rowsOf(tokens: Value): Value {
  return ops.reshape(tokens, [-1, tokens.shape.at(-1)!]);
}

/** Rows as heads of `batch` sequences. */
export function headsOf(rows: Value, batch: number, heads: number): Value {
  return nn.splitHeads(tokensOf(rows, batch), heads);
}

/** Rows as tokens of `batch` sequences. */
export function tokensOf(rows: Value, batch: number): Value {
  const [count, width] = rows.shape as [number, number];
  return ops.reshape(rows, [batch, count / batch, width]);
}

/** Sines and cosines of rotary positions, [batch or 1, 1, tokens, size / 2]. */
export interface Rotation {
  readonly sine: Value;
  readonly cosine: Value;
}

/**
 * The rotation of every token at float32 `positions` [batch or 1, tokens], whole numbers from −1 to `last`, for heads of
 * `size`. Sines are looked up, not computed: those of GPUs are only sure to 2⁻¹¹ (WGSL), and to less far from 0.
 */
export function rotationAt(positions: Value, size: number, last: number): Rotation {
  const [batch, tokens] = positions.shape as [number, number];
  const half = size / 2;
  const { graph } = positions;
  const timescales = Array.from({ length: half }, (_, index) => Math.fround(MAX_WAVELENGTH ** Math.fround((2 / size) * index)));
  const radians = Array.from({ length: last + 2 }, (_, row) => timescales.map((timescale) => Math.fround((row - 1) / timescale))).flat();
  const rows = ops.cast(ops.add(positions, 1), 'int32');
  const lookUp = (of: (radian: number) => number): Value =>
    ops.reshape(ops.gather(graph.constant(radians.map(of), 'float32', [last + 2, half]), rows), [batch, 1, tokens, half]);
  return { sine: lookUp(Math.sin), cosine: lookUp(Math.cos) };
}

/** Turns heads by their positions. */
export function rotate(heads: Value, { sine, cosine }: Rotation): Value {
  return nn.rotate(heads, sine, cosine);
}

/**
 * Grouped-query attention: `query` [batch, heads, queries, size] over `key` and `value` [batch, groups, keys, size], to
 * tokens [batch, queries, heads · size]. `bias` is added to the scores and broadcasts to [batch, heads, queries, keys]:
 * 0 for a key to see, {@link HIDDEN} for one to hide.
 */
export function attend(query: Value, key: Value, value: Value, bias?: Value): Value {
  const [batch, heads, queries, size] = query.shape as [number, number, number, number];
  const [, groups, keys] = key.shape as [number, number, number, number];
  // The heads of one group are rows of one product, so keys and values are not repeated.
  const rows = (heads / groups) * queries;
  const grouped = ops.reshape(ops.mul(query, size ** -0.5), [batch, groups, rows, size]);
  const scores = ops.matMul(grouped, ops.transpose(key));
  const biased = bias === undefined ? scores : ops.add(ops.reshape(scores, [batch, heads, queries, keys]), bias);
  const weights = ops.reshape(ops.softmax(biased), [batch, groups, rows, keys]);
  return nn.mergeHeads(ops.reshape(ops.matMul(weights, value), [batch, heads, queries, size]));
}

/** Bool [batch, keys] → float32 [batch, 1, 1, keys] to add to scores: 0 where true, {@link HIDDEN} where false. */
export function keyBias(mask: Value): Value {
  const [batch, keys] = mask.shape as [number, number];
  const { graph } = mask;
  const bias = ops.where(mask, graph.constant(0, 'float32'), graph.constant(HIDDEN, 'float32'));
  return ops.reshape(bias, [batch, 1, 1, keys]);
}

/** float32 [1, 1, tokens, tokens]: token i sees tokens 0 … i. */
export function causalBias(graph: GraphBuilder, tokens: number): Value {
  const bias = Array.from({ length: tokens * tokens }, (_, index) => (index % tokens <= Math.floor(index / tokens) ? 0 : HIDDEN));
  return graph.constant(bias, 'float32', [1, 1, tokens, tokens]);
}
