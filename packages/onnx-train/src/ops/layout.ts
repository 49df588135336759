import { elementCount, sameShape } from '@zk0/core/tensors';
import { GraphError } from '../errors.ts';
import { broadcast, format, normalizeAxes, normalizeAxis, swapLastTwo } from '../graph/shapes.ts';
import type { Value } from '../graph/value.ts';
import { apply, innermost, int64s, requireType, sameType } from './operand.ts';

/** The same value under another name; keeps a node boundary where one is needed. */
export function identity(x: Value): Value {
  return apply('Identity', [x], x);
}

/**
 * Axes in another order: axis `i` of the result is axis `perm[i]` of `x`. By default the last two are exchanged.
 * Transposing what was transposed is one step, or none.
 */
export function transpose(x: Value, perm: readonly number[] = swapLastTwo(x.shape.length)): Value {
  const axes = perm.map((axis) => normalizeAxis('Transpose', axis, x.shape.length));
  if (new Set(axes).size !== x.shape.length) throw new GraphError(`Transpose: ${format(perm)} permutes ${format(x.shape)} not`);
  const before = x.producer;
  if (before?.opType === 'Transpose') {
    const inner = before.attributes['perm'] as readonly number[];
    return transpose(before.inputs[0]!, axes.map((axis) => inner[axis]!));
  }
  if (axes.every((axis, index) => axis === index)) return x;
  return apply('Transpose', [x], { dtype: x.dtype, shape: axes.map((axis) => x.shape[axis]!) }, { perm: axes });
}

/** The same elements in row-major order with other sizes; one size may be −1 and follows from the rest. */
export function reshape(x: Value, shape: readonly number[]): Value {
  const total = elementCount(x.shape);
  const unknown = shape.indexOf(-1);
  const known = elementCount(shape.filter((size) => size !== -1));
  const sizes = unknown < 0 ? [...shape] : shape.map((size, axis) => (axis === unknown ? total / known : size));
  if (elementCount(sizes) !== total || sizes.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    throw new GraphError(`Reshape: ${format(x.shape)} cannot become ${format(shape)}`);
  }
  if (sameShape(sizes, x.shape)) return x;
  if (x.producer?.opType === 'Reshape') return reshape(x.producer.inputs[0]!, sizes);
  // allowzero: a size of 0 means an empty axis, not "as in the input".
  return apply('Reshape', [x, int64s(x.graph, sizes)], { dtype: x.dtype, shape: sizes }, { allowzero: 1 });
}

/** Removes axes of size 1. */
export function squeeze(x: Value, axes: readonly number[]): Value {
  const found = normalizeAxes('Squeeze', axes, x.shape.length);
  for (const axis of found) {
    if (x.shape[axis] !== 1) throw new GraphError(`Squeeze: axis ${axis} of ${format(x.shape)} is not of size 1`);
  }
  const shape = x.shape.filter((_, axis) => !found.includes(axis));
  return apply('Squeeze', [x, int64s(x.graph, found)], { dtype: x.dtype, shape });
}

/** Inserts axes of size 1; `axes` are positions in the result. */
export function unsqueeze(x: Value, axes: readonly number[]): Value {
  const rank = x.shape.length + axes.length;
  const found = normalizeAxes('Unsqueeze', axes, rank);
  const rest = [...x.shape];
  const shape = Array.from({ length: rank }, (_, axis) => (found.includes(axis) ? 1 : rest.shift()!));
  return apply('Unsqueeze', [x, int64s(x.graph, found)], { dtype: x.dtype, shape });
}

/** Repeats axes of size 1 until the shape is `shape`. */
export function expand(x: Value, shape: readonly number[]): Value {
  if (!sameShape(broadcast('Expand', x.shape, shape), shape)) {
    throw new GraphError(`Expand: ${format(x.shape)} cannot become ${format(shape)}`);
  }
  if (sameShape(x.shape, shape)) return x;
  return apply('Expand', [x, int64s(x.graph, shape)], { dtype: x.dtype, shape });
}

/** Values one behind the other along an axis; all other sizes must agree. */
export function concat(values: readonly Value[], axis: number): Value {
  const [first] = values;
  if (first === undefined) throw new GraphError('Concat: nothing to concatenate');
  const at = normalizeAxis('Concat', axis, first.shape.length);
  sameType('Concat', values);
  const shape = [...first.shape];
  for (const value of values.slice(1)) {
    if (value.shape.length !== shape.length || value.shape.some((size, index) => index !== at && size !== shape[index])) {
      throw new GraphError(`Concat: shapes ${format(first.shape)} and ${format(value.shape)} differ off axis ${at}`);
    }
    shape[at]! += value.shape[at]!;
  }
  if (values.length === 1) return first;
  return apply('Concat', values, { dtype: first.dtype, shape }, { axis: at });
}

/** Elements `start … end − 1` along one axis, every `step`-th; negative positions count from the end. */
export function slice(x: Value, axis: number, start: number, end: number, step = 1): Value {
  const at = normalizeAxis('Slice', axis, x.shape.length);
  const size = x.shape[at]!;
  if (!Number.isInteger(step) || step < 1) throw new GraphError(`Slice: step ${step}`);
  const from = start < 0 ? start + size : start;
  const to = end < 0 ? end + size : Math.min(end, size);
  if (from < 0 || to < from) throw new GraphError(`Slice: ${start} … ${end} of axis ${at} of ${format(x.shape)}`);
  if (from === 0 && to === size && step === 1) return x;
  const shape = x.shape.map((dimension, index) => (index === at ? Math.ceil((to - from) / step) : dimension));
  const { graph } = x;
  const inputs = [x, int64s(graph, [from]), int64s(graph, [to]), int64s(graph, [at]), int64s(graph, [step])];
  return apply('Slice', inputs, { dtype: x.dtype, shape });
}

/** Zeros before and after the elements of one axis. */
export function pad(x: Value, axis: number, before: number, after: number): Value {
  const at = normalizeAxis('Pad', axis, x.shape.length);
  if (!Number.isInteger(before) || !Number.isInteger(after) || before < 0 || after < 0) {
    throw new GraphError(`Pad: ${before} and ${after} elements`);
  }
  if (before === 0 && after === 0) return x;
  const { graph } = x;
  const shape = x.shape.map((size, index) => (index === at ? before + size + after : size));
  const inputs = [x, int64s(graph, [before, after]), graph.constant(0, x.dtype), int64s(graph, [at])];
  return apply('Pad', inputs, { dtype: x.dtype, shape }, { mode: 'constant' });
}

/** Cuts an axis into pieces of the given sizes. */
export function split(x: Value, axis: number, sizes: readonly number[]): Value[] {
  const at = normalizeAxis('Split', axis, x.shape.length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total !== x.shape[at] || sizes.some((size) => size < 1)) {
    throw new GraphError(`Split: axis ${at} of ${format(x.shape)} into ${format(sizes)}`);
  }
  if (sizes.length === 1) return [x];
  const types = sizes.map((size) => ({
    dtype: x.dtype,
    shape: x.shape.map((dimension, index) => (index === at ? size : dimension)),
  }));
  return x.graph.node('Split', [x, int64s(x.graph, sizes)], types, { axis: at });
}

/**
 * Slices of `x` along an axis, picked by index: the axis is replaced by the shape of `indices`. Indices must lie in
 * range; out of range fails when the graph runs.
 */
export function gather(x: Value, indices: Value, axis = 0): Value {
  requireType('Gather', indices, 'int64', 'int32');
  const at = normalizeAxis('Gather', axis, x.shape.length);
  const shape = [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)];
  return apply('Gather', [x, indices], { dtype: x.dtype, shape }, { axis: at });
}

/**
 * A copy of `x` [n, …] in which `updates` [m, …] are added to the rows that `indices` [m] (int64) name; rows named more
 * than once receive the sum.
 */
export function scatterAdd(x: Value, indices: Value, updates: Value): Value {
  requireType('ScatterND', indices, 'int64');
  sameType('ScatterND', [x, updates]);
  const [count] = indices.shape;
  if (indices.shape.length !== 1 || !sameShape(updates.shape, [count!, ...x.shape.slice(1)])) {
    throw new GraphError(
      `ScatterND: indices ${format(indices.shape)} and updates ${format(updates.shape)} for ${format(x.shape)}`,
    );
  }
  return apply('ScatterND', [x, unsqueeze(indices, [1]), updates], x, { reduction: 'add' });
}

/** A tensor filled with one number, in the graph of `like`. */
export function fill(like: Value, shape: readonly number[], number: number): Value {
  return expand(innermost('Expand', [like]).constant(number, like.dtype), shape);
}
