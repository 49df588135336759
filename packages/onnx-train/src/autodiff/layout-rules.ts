import { elementCount } from '@zk0/core/tensors';
import { inversePermutation } from '../graph/shapes.ts';
import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { constantNumbers } from './constant-numbers.ts';
import { operand, type Rule, type RuleTable } from './rule.ts';
import { sumTo } from './sum-to.ts';

/** Rules of operators that only give the elements other places: the gradient returns to the input's shape. */
const reshapeBack: Rule = (context) => [() => ops.reshape(context.g, operand(context, 0).shape)];

/** Moves an axis to the front or back again. */
function axisFirst(rank: number, axis: number): number[] {
  return [axis, ...Array.from({ length: rank }, (_, index) => index).filter((index) => index !== axis)];
}

/** Zeros like `x` into which slices along an axis are added at the places that flat `indices` name. */
function scatterAlong(x: Value, axis: number, indices: Value, slices: Value): Value {
  const perm = axisFirst(x.shape.length, axis);
  const rows = ops.transpose(slices, perm);
  const zeros = ops.fill(slices, [x.shape[axis]!, ...rows.shape.slice(1)], 0);
  return ops.transpose(ops.scatterAdd(zeros, indices, rows), inversePermutation(perm));
}

/** The transpose of a gradient. A product of two matrices is transposed by exchanging its operands, which costs nothing. */
function transposeGradient(g: Value, perm: readonly number[]): Value {
  if (perm.length === 2 && perm[0] === 1 && g.producer?.opType === 'MatMul') {
    const [a, b] = g.producer.inputs as [Value, Value];
    return ops.matMul(ops.transpose(b), ops.transpose(a));
  }
  return ops.transpose(g, perm);
}

export const layoutRules: RuleTable = {
  Reshape: reshapeBack,
  Squeeze: reshapeBack,
  Unsqueeze: reshapeBack,
  Transpose: (context) => [
    () => transposeGradient(context.g, inversePermutation(context.node.attributes['perm'] as readonly number[])),
  ],
  Expand: (context) => [() => sumTo(context.g, operand(context, 0).shape)],
  Concat: ({ node, g }) => {
    const axis = node.attributes['axis'] as number;
    let offset = 0;
    return node.inputs.map((input) => {
      const start = offset;
      offset += input!.shape[axis]!;
      const end = offset;
      return () => ops.slice(g, axis, start, end);
    });
  },
  Split: ({ node, g, outputGradients }) => [
    () =>
      ops.concat(
        node.outputs.map((output, index) => outputGradients[index] ?? ops.fill(g, output.shape, 0)),
        node.attributes['axis'] as number,
      ),
  ],
  Slice: (context) => {
    const [x, start, , at, stride] = context.node.inputs.map((_, index) => operand(context, index));
    return [
      () => {
        const [from, axis, step] = [start!, at!, stride!].map((value) => constantNumbers(value)[0]!) as [number, number, number];
        const count = context.g.shape[axis]!;
        if (step === 1) return ops.pad(context.g, axis, from, x!.shape[axis]! - from - count);
        const indices = Array.from({ length: count }, (_, index) => from + index * step);
        return scatterAlong(x!, axis, context.g.graph.constant(indices, 'int64'), context.g);
      },
    ];
  },
  Pad: (context) => [
    () => {
      const before = constantNumbers(operand(context, 1))[0]!;
      const axis = constantNumbers(operand(context, 3))[0]!;
      return ops.slice(context.g, axis, before, before + operand(context, 0).shape[axis]!);
    },
  ],
  Gather: (context) => {
    const [x, indices] = [operand(context, 0), operand(context, 1)];
    const axis = context.node.attributes['axis'] as number;
    return [
      () => {
        const count = elementCount(indices.shape);
        const flat = ops.reshape(ops.cast(indices, 'int64'), [count]);
        const slices = ops.reshape(context.g, x.shape.map((size, index) => (index === axis ? count : size)));
        return scatterAlong(x, axis, flat, slices);
      },
      undefined,
    ];
  },
  ScatterND: (context) => {
    const indices = operand(context, 1);
    return [() => context.g, undefined, () => ops.gather(context.g, ops.squeeze(indices, [1]))];
  },
};
