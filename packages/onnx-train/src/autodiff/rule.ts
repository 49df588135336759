import type { GraphNode, Value } from '../graph/value.ts';

/** A node whose gradients are wanted, and the gradient that has arrived at its outputs. */
export interface RuleContext {
  readonly node: GraphNode;
  /** ∂loss/∂output of the first output: type and shape of that output. */
  readonly g: Value;
  /** The same of every output; `undefined` where the loss does not depend on it. */
  readonly outputGradients: readonly (Value | undefined)[];
}

/**
 * A vector-Jacobian product: for every input, a function that writes ∂loss/∂input (type and shape of that input), or
 * `undefined` where no gradient can flow. Only the functions whose results are needed are called.
 */
export type Rule = (context: RuleContext) => readonly ((() => Value) | undefined)[];

/** Rules by operator; operators outside the standard set are keyed `domain:Operator`. */
export type RuleTable = Readonly<Record<string, Rule>>;

/** An input that the operator's definition requires. */
export function operand({ node }: RuleContext, index: number): Value {
  return node.inputs[index]!;
}
