import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { operand, type Rule, type RuleContext, type RuleTable } from './rule.ts';
import { sumTo } from './sum-to.ts';

/** Rule of a function of one value, from `g`, the input and the output. */
function unary(gradient: (g: Value, x: Value, y: Value) => Value): Rule {
  return (context) => [() => gradient(context.g, operand(context, 0), context.node.outputs[0]!)];
}

/** Rule of a broadcasting function of two values: each side's gradient before broadcasting is undone. */
function binary(
  left: (g: Value, a: Value, b: Value, y: Value) => Value,
  right: (g: Value, a: Value, b: Value, y: Value) => Value,
): Rule {
  return (context) => {
    const [a, b, y] = [operand(context, 0), operand(context, 1), context.node.outputs[0]!];
    return [() => sumTo(left(context.g, a, b, y), a.shape), () => sumTo(right(context.g, a, b, y), b.shape)];
  };
}

/** Gradient of the larger (or smaller) of two: it goes to the one that was taken, half to each where they are equal. */
function extremum(taken: (a: Value, b: Value) => Value): Rule {
  const share = (g: Value, a: Value, b: Value): Value =>
    ops.where(ops.equal(a, b), ops.mul(g, 0.5), ops.where(taken(a, b), g, ops.mul(g, 0)));
  return binary(share, (g, a, b) => share(g, b, a));
}

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);

function geluGradient({ node, g }: RuleContext, x: Value): Value {
  if (node.attributes['approximate'] === 'tanh') {
    const square = ops.mul(x, x);
    const t = ops.tanh(ops.mul(ops.mul(x, ops.add(ops.mul(square, 0.044715), 1)), SQRT_2_OVER_PI));
    const inner = ops.mul(ops.add(ops.mul(square, 3 * 0.044715), 1), SQRT_2_OVER_PI);
    const slope = ops.mul(ops.mul(x, ops.sub(1, ops.mul(t, t))), inner);
    return ops.mul(g, ops.mul(ops.add(ops.add(t, 1), slope), 0.5));
  }
  const cumulative = ops.mul(ops.add(ops.erf(ops.mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = ops.mul(ops.exp(ops.mul(ops.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return ops.mul(g, ops.add(cumulative, ops.mul(x, density)));
}

export const elementwiseRules: RuleTable = {
  Add: binary(
    (g) => g,
    (g) => g,
  ),
  Sub: binary(
    (g) => g,
    (g) => ops.neg(g),
  ),
  Mul: binary(
    (g, _a, b) => ops.mul(g, b),
    (g, a) => ops.mul(g, a),
  ),
  Div: binary(
    (g, _a, b) => ops.div(g, b),
    (g, _a, b, y) => ops.neg(ops.div(ops.mul(g, y), b)),
  ),
  Pow: binary(
    (g, a, b) => ops.mul(g, ops.mul(b, ops.pow(a, ops.sub(b, 1)))),
    (g, a, _b, y) => ops.mul(g, ops.mul(y, ops.log(a))),
  ),
  Max: extremum(ops.greater),
  Min: extremum(ops.less),
  Where: (context) => {
    const [condition, a, b] = [operand(context, 0), operand(context, 1), operand(context, 2)];
    return [
      undefined,
      () => sumTo(ops.where(condition, context.g, 0), a.shape),
      () => sumTo(ops.where(condition, 0, context.g), b.shape),
    ];
  },

  Neg: unary((g) => ops.neg(g)),
  Abs: unary((g, x) => ops.mul(g, ops.sign(x))),
  Sqrt: unary((g, _x, y) => ops.div(ops.mul(g, 0.5), y)),
  Reciprocal: unary((g, _x, y) => ops.neg(ops.mul(g, ops.mul(y, y)))),
  Exp: unary((g, _x, y) => ops.mul(g, y)),
  Log: unary((g, x) => ops.div(g, x)),
  Erf: unary((g, x) => ops.mul(g, ops.mul(ops.exp(ops.neg(ops.mul(x, x))), 2 / Math.sqrt(Math.PI)))),
  Tanh: unary((g, _x, y) => ops.mul(g, ops.sub(1, ops.mul(y, y)))),
  Sigmoid: unary((g, _x, y) => ops.mul(g, ops.mul(y, ops.sub(1, y)))),
  Sin: unary((g, x) => ops.mul(g, ops.cos(x))),
  Cos: unary((g, x) => ops.neg(ops.mul(g, ops.sin(x)))),
  Relu: unary((g, x) => ops.where(ops.greater(x, 0), g, 0)),
  Gelu: (context) => [() => geluGradient(context, operand(context, 0))],
  Cast: unary((g, x) => ops.cast(g, x.dtype)),
  Identity: unary((g) => g),
};
