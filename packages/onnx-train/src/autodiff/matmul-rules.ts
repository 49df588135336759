import { elementCount } from '@zk0/core/tensors';
import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { operand, type RuleContext, type RuleTable } from './rule.ts';
import { sumTo } from './sum-to.ts';

/** All axes but the last as one: [rows, columns]. */
function rows(x: Value): Value {
  const columns = x.shape.at(-1)!;
  return ops.reshape(x, [elementCount(x.shape) / columns, columns]);
}

function matMulRule(context: RuleContext): readonly (() => Value)[] {
  const { g } = context;
  const [a, b] = [operand(context, 0), operand(context, 1)];
  return [
    () => sumTo(ops.matMul(g, ops.transpose(b)), a.shape),
    // A weight's gradient is one product over all rows of the batch, not a sum of products.
    () =>
      b.shape.length === 2
        ? ops.matMul(ops.transpose(rows(a)), rows(g))
        : sumTo(ops.matMul(ops.transpose(a), g), b.shape),
  ];
}

/** ∂/∂a and ∂/∂b of `alpha · op(a) · op(b)`, where `product` writes such a product. */
function transposableRule(
  context: RuleContext,
  product: (a: Value, b: Value, options: ops.FusedMatMulOptions) => Value,
): readonly (() => Value)[] {
  const { node, g } = context;
  const [a, b] = [operand(context, 0), operand(context, 1)];
  const [transA, transB] = [node.attributes['transA'] === 1, node.attributes['transB'] === 1];
  const { float: alpha } = node.attributes['alpha'] as { readonly float: number };
  return [
    () =>
      sumTo(
        transA ? product(b, g, { alpha, transA: transB, transB: true }) : product(g, b, { alpha, transB: !transB }),
        a.shape,
      ),
    () => {
      const [left, right] = b.shape.length === 2 && !transA ? [rows(a), rows(g)] : [a, g];
      return sumTo(
        transB
          ? product(right, left, { alpha, transA: true, transB: transA })
          : product(left, right, { alpha, transA: !transA }),
        b.shape,
      );
    },
  ];
}

/** Images and kernels with their first two axes exchanged. */
function swapChannels(x: Value): Value {
  return ops.transpose(x, [1, 0, 2, 3]);
}

function convRule(context: RuleContext): readonly (() => Value)[] {
  const { node, g } = context;
  const [x, weight] = [operand(context, 0), operand(context, 1)];
  const strides = node.attributes['strides'] as readonly number[];
  const pads = node.attributes['pads'] as readonly number[];
  const kernel = node.attributes['kernel_shape'] as readonly number[];
  const { dtype } = x;
  return [
    () => {
      // Rows and columns that no window reached, because the stride did not divide the image.
      const left = [0, 1].map(
        (axis) => (x.shape[axis + 2]! + pads[axis]! + pads[axis + 2]! - kernel[axis]!) % strides[axis]!,
      );
      const attributes = { strides, pads, kernel_shape: kernel, output_padding: left };
      return g.graph.node('ConvTranspose', [g, weight], [x], attributes)[0]!;
    },
    () => {
      // The kernel's gradient is a convolution of the image with the output's gradient, batch and channels exchanged.
      const shape = [x.shape[1]!, weight.shape[0]!, ...[0, 1].map((axis) => {
        const reach = (g.shape[axis + 2]! - 1) * strides[axis]! + 1;
        return x.shape[axis + 2]! + pads[axis]! + pads[axis + 2]! - reach + 1;
      })];
      const attributes = { dilations: strides, pads, kernel_shape: g.shape.slice(2) };
      const [full] = g.graph.node('Conv', [swapChannels(x), swapChannels(g)], [{ dtype, shape }], attributes);
      const rowsUsed = ops.slice(full!, 2, 0, kernel[0]!);
      return swapChannels(ops.slice(rowsUsed, 3, 0, kernel[1]!));
    },
    () => ops.reduceSum(g, { axes: [0, 2, 3] }),
  ];
}

export const matmulRules: RuleTable = {
  MatMul: matMulRule,
  'com.microsoft:FusedMatMul': (context) => transposableRule(context, ops.fusedMatMul),
  Gemm: (context) => [
    ...transposableRule(context, ops.gemm),
    () => {
      const { float: beta } = context.node.attributes['beta'] as { readonly float: number };
      const scaled = beta === 1 ? context.g : ops.mul(context.g, beta);
      return sumTo(scaled, operand(context, 2).shape);
    },
  ],
  Conv: convRule,
};
