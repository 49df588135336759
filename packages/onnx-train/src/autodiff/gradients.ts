import { elementCount } from '@zk0/core/tensors';
import { GraphError, NotDifferentiableError } from '../errors.ts';
import { isFloat } from '../graph/data-type.ts';
import { format } from '../graph/shapes.ts';
import type { GraphNode, Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { elementwiseRules } from './elementwise-rules.ts';
import { layoutRules } from './layout-rules.ts';
import { matmulRules } from './matmul-rules.ts';
import { normalizationRules } from './normalization-rules.ts';
import { reduceRules } from './reduce-rules.ts';
import type { Rule, RuleTable } from './rule.ts';

/** Every operator that gradients flow through. */
export const rules: RuleTable = {
  ...elementwiseRules,
  ...layoutRules,
  ...matmulRules,
  ...normalizationRules,
  ...reduceRules,
};

/**
 * Reverse-mode differentiation: writes the nodes that compute `∂loss/∂w` for every `w` of `wrt` into the same graph.
 *
 * Only paths that lead from `wrt` to the loss are followed, so frozen parts cost nothing. In a `Loop`, differentiate
 * inside the body.
 *
 * @param loss one floating-point element.
 * @returns one gradient per value of `wrt`, of its type and shape.
 * @throws NotDifferentiableError when an operator on the way has no rule, or the loss does not depend on a value.
 */
export function gradients(loss: Value, wrt: readonly Value[]): Value[] {
  if (elementCount(loss.shape) !== 1 || !isFloat(loss.dtype)) {
    throw new GraphError(`a loss must be one floating-point number, ${loss.name} is ${loss.dtype} ${format(loss.shape)}`);
  }
  const nodes = ancestors(loss);
  const onPath = new Set<Value>(wrt);
  for (const node of nodes) {
    if (!node.inputs.some((input) => input !== undefined && onPath.has(input))) continue;
    for (const output of node.outputs) if (isFloat(output.dtype)) onPath.add(output);
  }

  const found = new Map<Value, Value>();
  const arrive = (value: Value, gradient: Value): void => {
    const sofar = found.get(value);
    found.set(value, sofar === undefined ? gradient : ops.add(sofar, gradient));
  };
  if (onPath.has(loss)) arrive(loss, ops.fill(loss, loss.shape, 1));
  for (const node of nodes.reverse()) {
    const outputGradients = node.outputs.map((output) => (onPath.has(output) ? found.get(output) : undefined));
    const g = outputGradients.find((gradient) => gradient !== undefined);
    if (g === undefined) continue;
    const inputs = ruleOf(node)({ node, g, outputGradients });
    node.inputs.forEach((input, index) => {
      if (input === undefined || !onPath.has(input)) return;
      const write = inputs[index];
      if (write === undefined) {
        throw new NotDifferentiableError(`no gradient flows through input ${index} (${input.name}) of ${node.opType}`);
      }
      arrive(input, write());
    });
  }
  return wrt.map((value) => {
    const gradient = found.get(value);
    if (gradient === undefined) {
      throw new NotDifferentiableError(`the loss ${loss.name} does not depend on ${value.name}`, {
        hint: 'Leave it out of the trained values.',
      });
    }
    return gradient;
  });
}

function ruleOf(node: GraphNode): Rule {
  const key = node.domain === '' ? node.opType : `${node.domain}:${node.opType}`;
  const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
  if (rule === undefined) {
    throw new NotDifferentiableError(`operator ${key} (${node.outputs[0]!.name}) has no gradient rule`, {
      ...(key === 'Loop' && { hint: 'Differentiate inside the body of the loop.' }),
    });
  }
  return rule;
}

/** The nodes that a value depends on, in the order they were written. */
function ancestors(of: Value): GraphNode[] {
  const nodes = new Set<GraphNode>();
  const pending = [of];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    const node = value.producer;
    if (node === undefined || nodes.has(node)) continue;
    nodes.add(node);
    for (const input of node.inputs) if (input !== undefined) pending.push(input);
  }
  return [...nodes].sort((a, b) => a.order - b.order);
}
