import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { operand, type RuleContext, type RuleTable } from './rule.ts';
import { sumTo } from './sum-to.ts';

function meanOfRow(x: Value): Value {
  return ops.reduceMean(x, { axes: [-1], keepDims: true });
}

/** `1 / √(mean(x²) + epsilon)` of the rows. */
function inverseRoot({ node }: RuleContext, x: Value): Value {
  const { float: epsilon } = node.attributes['epsilon'] as { readonly float: number };
  return ops.reciprocal(ops.sqrt(ops.add(meanOfRow(ops.mul(x, x)), epsilon)));
}

export const normalizationRules: RuleTable = {
  LayerNormalization: (context) => {
    const { g } = context;
    const [x, scale, bias] = [operand(context, 0), operand(context, 1), operand(context, 2)];
    const centred = ops.sub(x, meanOfRow(x));
    const inverse = inverseRoot(context, centred);
    const normal = ops.mul(centred, inverse);
    return [
      () => {
        const scaled = ops.mul(g, scale);
        const along = ops.mul(normal, meanOfRow(ops.mul(scaled, normal)));
        return ops.mul(inverse, ops.sub(ops.sub(scaled, meanOfRow(scaled)), along));
      },
      () => sumTo(ops.mul(g, normal), scale.shape),
      () => sumTo(g, bias.shape),
    ];
  },
  SimplifiedLayerNormalization: (context) => {
    const { g } = context;
    const [x, scale] = [operand(context, 0), operand(context, 1)];
    const inverse = inverseRoot(context, x);
    const normal = ops.mul(x, inverse);
    return [
      () => {
        const scaled = ops.mul(g, scale);
        return ops.mul(inverse, ops.sub(scaled, ops.mul(normal, meanOfRow(ops.mul(scaled, normal)))));
      },
      () => sumTo(ops.mul(g, normal), scale.shape),
    ];
  },
};
