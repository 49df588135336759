import { GraphError } from '../errors.ts';
import type { GraphBuilder } from '../graph/graph-builder.ts';
import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { gradients } from './gradients.ts';

/** How a loss is differentiated. */
export interface DifferentiateOptions {
  /** In how many parts the batch is computed, one after the other: activations take this share of their memory. 1 by default. */
  readonly parts?: number | undefined;
  /** Scalar that the loss is multiplied by before it is differentiated. */
  readonly lossScale?: Value | undefined;
}

/** A loss and its gradients. */
export interface Differentiated {
  /** One number, not scaled. */
  readonly loss: Value;
  /** Of the loss, scaled where that was asked for; one for each weight, of its shape. */
  readonly gradients: readonly Value[];
}

/**
 * The loss of a batch and its gradients, where memory asks for it in parts: a loop computes one part of the batch after the other, forward and
 * backward, and adds up what comes out. The sum is what the whole batch gives, but for the order in which float32 numbers are added.
 *
 * @param graph where the loop goes, if there is one.
 * @param write writes the share of the loss that the part with this number (int64 scalar, from 0) has: all shares together are the loss. Without
 *   parts it is called once, with none.
 */
export function differentiate(
  graph: GraphBuilder,
  weights: readonly Value[],
  write: (part: Value | undefined) => Value,
  { parts = 1, lossScale }: DifferentiateOptions = {},
): Differentiated {
  const ofPart = (part: Value | undefined): Differentiated => {
    const loss = ops.reshape(write(part), []);
    return { loss, gradients: gradients(lossScale === undefined ? loss : ops.mul(loss, lossScale), weights) };
  };
  if (!Number.isSafeInteger(parts) || parts < 1) throw new GraphError(`a batch cannot be computed in ${parts} parts`);
  if (parts === 1) return ofPart(undefined);
  const zeros = [graph.constant(0, 'float32', []), ...weights.map((weight) => ops.mul(weight, 0))];
  const { state } = ops.loop(graph, parts, zeros, ({ iteration, state: sofar }) => {
    const { loss, gradients: found } = ofPart(iteration);
    return { state: [loss, ...found].map((value, index) => ops.add(sofar[index]!, value)) };
  });
  const [loss, ...found] = state as [Value, ...Value[]];
  return { loss, gradients: found };
}
