import { GraphError } from '../errors.ts';
import type { DataType } from '../graph/data-type.ts';
import type { GraphBuilder } from '../graph/graph-builder.ts';
import { isFloat } from '../graph/data-type.ts';
import type { Attributes, Value, ValueType } from '../graph/value.ts';

/** A value, or a number that becomes a scalar constant of the other operand's element type. */
export type Operand = Value | number;

/** The innermost graph of some values: where an operator on them belongs. */
export function innermost(op: string, values: readonly (Value | undefined)[]): GraphBuilder {
  let found: GraphBuilder | undefined;
  for (const value of values) {
    if (value !== undefined && (found === undefined || value.graph.depth > found.depth)) found = value.graph;
  }
  if (found === undefined) throw new GraphError(`${op}: no operand is a value`);
  return found;
}

/** Appends a node with one output to the innermost graph of its operands. */
export function apply(
  op: string,
  inputs: readonly (Value | undefined)[],
  type: ValueType,
  attributes: Attributes = {},
  domain = '',
): Value {
  return innermost(op, inputs).node(op, inputs, [type], attributes, domain)[0]!;
}

/** Turns numbers among the operands into constants and checks that all have one element type. */
export function sameType(op: string, operands: readonly Operand[]): Value[] {
  const first = operands.find((operand) => typeof operand !== 'number');
  if (first === undefined) throw new GraphError(`${op}: no operand is a value`);
  return operands.map((operand) => {
    if (typeof operand === 'number') return first.graph.constant(operand, first.dtype);
    if (operand.dtype !== first.dtype) {
      throw new GraphError(`${op}: operands are ${first.dtype} (${first.name}) and ${operand.dtype} (${operand.name})`, {
        hint: 'Convert one of them with ops.cast.',
      });
    }
    return operand;
  });
}

/** Refuses values of another element type than the operator takes. */
export function requireType(op: string, value: Value, ...allowed: readonly DataType[]): void {
  if (!allowed.includes(value.dtype)) throw new GraphError(`${op}: ${value.name} is ${value.dtype}, not ${allowed.join(' or ')}`);
}

/** Refuses anything but floating-point values. */
export function requireFloat(op: string, value: Value): void {
  if (!isFloat(value.dtype)) throw new GraphError(`${op}: ${value.name} is ${value.dtype}, not a floating-point type`);
}

/** Shape arguments of operators that take them as int64 tensors. */
export function int64s(graph: GraphBuilder, values: readonly number[]): Value {
  return graph.constant(values, 'int64');
}
