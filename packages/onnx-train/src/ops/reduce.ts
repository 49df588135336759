import { normalizeAxes, normalizeAxis } from '../graph/shapes.ts';
import type { Value } from '../graph/value.ts';
import { apply, int64s, requireFloat } from './operand.ts';

/** Over which axes to reduce (all by default), and whether they stay as axes of size 1 (by default not). */
export interface ReduceOptions {
  readonly axes?: readonly number[];
  readonly keepDims?: boolean;
}

function reduce(op: string, x: Value, { axes, keepDims = false }: ReduceOptions): Value {
  const found = axes === undefined ? x.shape.map((_, axis) => axis) : normalizeAxes(op, axes, x.shape.length);
  if (found.length === 0) return x;
  const shape = keepDims
    ? x.shape.map((size, axis) => (found.includes(axis) ? 1 : size))
    : x.shape.filter((_, axis) => !found.includes(axis));
  return apply(op, [x, int64s(x.graph, found)], { dtype: x.dtype, shape }, { keepdims: keepDims ? 1 : 0 });
}

/** Sum over axes. */
export function reduceSum(x: Value, options: ReduceOptions = {}): Value {
  return reduce('ReduceSum', x, options);
}
/** Arithmetic mean over axes. */
export function reduceMean(x: Value, options: ReduceOptions = {}): Value {
  requireFloat('ReduceMean', x);
  return reduce('ReduceMean', x, options);
}
/** Largest element over axes. */
export function reduceMax(x: Value, options: ReduceOptions = {}): Value {
  return reduce('ReduceMax', x, options);
}

/** Exponentials along an axis that sum to 1. */
export function softmax(x: Value, axis = -1): Value {
  requireFloat('Softmax', x);
  return apply('Softmax', [x], x, { axis: normalizeAxis('Softmax', axis, x.shape.length) });
}
/** Logarithm of {@link softmax}, without its overflow. */
export function logSoftmax(x: Value, axis = -1): Value {
  requireFloat('LogSoftmax', x);
  return apply('LogSoftmax', [x], x, { axis: normalizeAxis('LogSoftmax', axis, x.shape.length) });
}

/** Running sum along an axis; with `reverse`, from the end. */
export function cumSum(x: Value, axis: number, options: { readonly reverse?: boolean } = {}): Value {
  const at = normalizeAxis('CumSum', axis, x.shape.length);
  const inputs = [x, x.graph.constant(at, 'int64')];
  return apply('CumSum', inputs, x, { exclusive: 0, reverse: options.reverse === true ? 1 : 0 });
}
