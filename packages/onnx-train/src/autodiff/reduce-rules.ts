import { elementCount } from '@zk0/core/tensors';
import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { constantNumbers } from './constant-numbers.ts';
import { operand, type RuleContext, type RuleTable } from './rule.ts';

/** A reduction's gradient (or result) with the reduced axes back as axes of size 1. */
function keepDims(context: RuleContext, reduced: Value): Value {
  const axes = constantNumbers(operand(context, 1));
  return ops.reshape(reduced, operand(context, 0).shape.map((size, axis) => (axes.includes(axis) ? 1 : size)));
}

export const reduceRules: RuleTable = {
  ReduceSum: (context) => [() => ops.expand(keepDims(context, context.g), operand(context, 0).shape), undefined],
  ReduceMean: (context) => {
    const x = operand(context, 0);
    const count = elementCount(x.shape) / elementCount(context.g.shape);
    return [() => ops.expand(keepDims(context, ops.mul(context.g, 1 / count)), x.shape), undefined];
  },
  ReduceMax: (context) => {
    const x = operand(context, 0);
    return [
      () => {
        // Elements that tie for the maximum share its gradient.
        const ties = ops.cast(ops.equal(x, keepDims(context, context.node.outputs[0]!)), x.dtype);
        const count = ops.reduceSum(ties, { axes: constantNumbers(operand(context, 1)), keepDims: true });
        return ops.mul(ties, ops.div(keepDims(context, context.g), count));
      },
      undefined,
    ];
  },
  Softmax: ({ node, g }) => {
    const y = node.outputs[0]!;
    const axes = [node.attributes['axis'] as number];
    return [() => ops.mul(y, ops.sub(g, ops.reduceSum(ops.mul(g, y), { axes, keepDims: true })))];
  },
  LogSoftmax: ({ node, g }) => {
    const axes = [node.attributes['axis'] as number];
    return [() => ops.sub(g, ops.mul(ops.exp(node.outputs[0]!), ops.reduceSum(g, { axes, keepDims: true })))];
  },
  CumSum: (context) => [
    () => {
      const axis = constantNumbers(operand(context, 1))[0]!;
      return ops.cumSum(context.g, axis, { reverse: context.node.attributes['reverse'] !== 1 });
    },
    undefined,
  ],
};
