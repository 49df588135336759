import { sameShape } from '@zk0/core/tensors';
import { GraphError } from '../errors.ts';
import { DATA_TYPES, type DataType } from '../graph/data-type.ts';
import { broadcast } from '../graph/shapes.ts';
import type { Value } from '../graph/value.ts';
import { apply, requireFloat, requireType, sameType, type Operand } from './operand.ts';

function binary(op: string, a: Operand, b: Operand, result?: DataType): Value {
  const [left, right] = sameType(op, [a, b]) as [Value, Value];
  const shape = broadcast(op, left.shape, right.shape);
  const operands = [unexpanded(left, right, shape), right];
  operands[1] = unexpanded(right, operands[0]!, shape);
  return apply(op, operands, { dtype: result ?? left.dtype, shape });
}

/** What a value was before `expand`, when the operator broadcasts it to the same shape by itself. */
function unexpanded(value: Value, other: Value, shape: readonly number[]): Value {
  if (value.producer?.opType !== 'Expand') return value;
  const source = value.producer.inputs[0]!;
  return source.shape.length <= shape.length && sameShape(broadcast('Expand', source.shape, other.shape), shape)
    ? source
    : value;
}

function unary(op: string, x: Value, attributes = {}): Value {
  requireFloat(op, x);
  return apply(op, [x], x, attributes);
}

/** `a + b`, broadcasting. */
export function add(a: Operand, b: Operand): Value {
  return binary('Add', a, b);
}
/** `a − b`, broadcasting. */
export function sub(a: Operand, b: Operand): Value {
  return binary('Sub', a, b);
}
/** `a · b` element by element, broadcasting. */
export function mul(a: Operand, b: Operand): Value {
  return binary('Mul', a, b);
}
/** `a / b`, broadcasting. */
export function div(a: Operand, b: Operand): Value {
  return binary('Div', a, b);
}
/** `a` to the power `b`, broadcasting. */
export function pow(a: Operand, b: Operand): Value {
  return binary('Pow', a, b);
}
/** The larger of `a` and `b`, broadcasting. */
export function max(a: Operand, b: Operand): Value {
  return binary('Max', a, b);
}
/** The smaller of `a` and `b`, broadcasting. */
export function min(a: Operand, b: Operand): Value {
  return binary('Min', a, b);
}

/** `−x`. */
export function neg(x: Value): Value {
  return apply('Neg', [x], x);
}
/** `|x|`. */
export function abs(x: Value): Value {
  return apply('Abs', [x], x);
}
/** −1, 0 or 1. */
export function sign(x: Value): Value {
  return apply('Sign', [x], x);
}
/** Square root. */
export function sqrt(x: Value): Value {
  return unary('Sqrt', x);
}
/** `1 / x`. */
export function reciprocal(x: Value): Value {
  return unary('Reciprocal', x);
}
/** `e^x`. */
export function exp(x: Value): Value {
  return unary('Exp', x);
}
/** Natural logarithm. */
export function log(x: Value): Value {
  return unary('Log', x);
}
/** The error function. */
export function erf(x: Value): Value {
  return unary('Erf', x);
}
/** Hyperbolic tangent. */
export function tanh(x: Value): Value {
  return unary('Tanh', x);
}
/** `1 / (1 + e^−x)`. */
export function sigmoid(x: Value): Value {
  return unary('Sigmoid', x);
}
/** Sine of radians. */
export function sin(x: Value): Value {
  return unary('Sin', x);
}
/** Cosine of radians. */
export function cos(x: Value): Value {
  return unary('Cos', x);
}
/** `max(x, 0)`. */
export function relu(x: Value): Value {
  return unary('Relu', x);
}
/** Gaussian error linear unit: exact (`none`) or by the tanh approximation that SigLIP uses. */
export function gelu(x: Value, approximate: 'none' | 'tanh' = 'none'): Value {
  return unary('Gelu', x, { approximate });
}

/** `a = b`, broadcasting; bool. */
export function equal(a: Operand, b: Operand): Value {
  return binary('Equal', a, b, 'bool');
}
/** `a < b`, broadcasting; bool. */
export function less(a: Operand, b: Operand): Value {
  return binary('Less', a, b, 'bool');
}
/** `a ≤ b`, broadcasting; bool. */
export function lessOrEqual(a: Operand, b: Operand): Value {
  return binary('LessOrEqual', a, b, 'bool');
}
/** `a > b`, broadcasting; bool. */
export function greater(a: Operand, b: Operand): Value {
  return binary('Greater', a, b, 'bool');
}
/** `a ≥ b`, broadcasting; bool. */
export function greaterOrEqual(a: Operand, b: Operand): Value {
  return binary('GreaterOrEqual', a, b, 'bool');
}
/** Both of two bools, broadcasting. */
export function and(a: Value, b: Value): Value {
  requireType('And', a, 'bool');
  return binary('And', a, b);
}
/** Either of two bools, broadcasting. */
export function or(a: Value, b: Value): Value {
  requireType('Or', a, 'bool');
  return binary('Or', a, b);
}
/** The other bool. */
export function not(x: Value): Value {
  requireType('Not', x, 'bool');
  return apply('Not', [x], x);
}

/** `condition ? a : b` element by element, broadcasting all three. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  requireType('Where', condition, 'bool');
  const [left, right] = sameType('Where', [a, b]) as [Value, Value];
  const shape = broadcast('Where', condition.shape, broadcast('Where', left.shape, right.shape));
  return apply('Where', [condition, left, right], { dtype: left.dtype, shape });
}

/** The same numbers in another element type; the value itself when it has that type already. */
export function cast(x: Value, dtype: DataType): Value {
  if (x.dtype === dtype) return x;
  return apply('Cast', [x], { dtype, shape: x.shape }, { to: DATA_TYPES[dtype].code });
}

/** Sum of two or more values of one type, broadcasting, left to right. */
export function addAll(values: readonly Value[]): Value {
  const [first, ...rest] = values;
  if (first === undefined) throw new GraphError('Add: nothing to add');
  return rest.reduce((sum, value) => add(sum, value), first);
}
