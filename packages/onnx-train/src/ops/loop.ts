import { sameShape } from '@zk0/core/tensors';
import { GraphError } from '../errors.ts';
import { GraphBuilder } from '../graph/graph-builder.ts';
import { format } from '../graph/shapes.ts';
import type { Value } from '../graph/value.ts';
import { identity } from './layout.ts';

/** What a loop's body is written with. */
export interface LoopScope {
  /** The body's own graph. Values of the graphs around it may be used in it as they are. */
  readonly body: GraphBuilder;
  /** Number of this iteration, from 0; int64 scalar. */
  readonly iteration: Value;
  /** The state as the last iteration left it. */
  readonly state: readonly Value[];
}

/** What a body gives back. */
export interface LoopStep {
  /** The state for the next iteration: same number, types and shapes. */
  readonly state: readonly Value[];
  /** Values collected over the iterations. */
  readonly scans?: readonly Value[];
}

/** What a loop computes. */
export interface LoopResult {
  /** The state after the last iteration. */
  readonly state: readonly Value[];
  /** [iterations, …] each. */
  readonly scans: readonly Value[];
}

/**
 * Runs a body a fixed number of times, handing a state from one iteration to the next without copies through the host.
 *
 * @param graph the graph that the loop belongs to.
 */
export function loop(
  graph: GraphBuilder,
  iterations: number,
  initial: readonly Value[],
  write: (scope: LoopScope) => LoopStep,
): LoopResult {
  if (!Number.isSafeInteger(iterations) || iterations < 1) throw new GraphError(`Loop: ${iterations} iterations`);
  const body = new GraphBuilder(`${graph.name}/loop${graph.nodes.length}`, {}, graph);
  const named = (name: string): string => `${body.name}/${name}`;
  const iteration = body.input(named('iteration'), 'int64', []);
  const condition = body.input(named('condition'), 'bool', []);
  const state = initial.map((value, index) => body.input(named(`state${index}`), value.dtype, value.shape));
  const { state: next, scans = [] } = write({ body, iteration, state });
  if (next.length !== initial.length) {
    throw new GraphError(`Loop: the body returns ${next.length} state values for ${initial.length}`);
  }
  next.forEach((value, index) => {
    const before = initial[index]!;
    if (value.dtype !== before.dtype || !sameShape(value.shape, before.shape)) {
      throw new GraphError(
        `Loop: state ${index} goes in as ${before.dtype} ${format(before.shape)} ` +
          `and comes out as ${value.dtype} ${format(value.shape)}`,
      );
    }
  });
  body.output(named('conditionOut'), identity(condition));
  next.forEach((value, index) => {
    body.output(named(`stateOut${index}`), value);
  });
  scans.forEach((value, index) => {
    body.output(named(`scan${index}`), value);
  });
  const outputs = graph.node(
    'Loop',
    [graph.constant(iterations, 'int64'), graph.constant(1, 'bool'), ...initial],
    [
      ...initial.map(({ dtype, shape }) => ({ dtype, shape })),
      ...scans.map(({ dtype, shape }) => ({ dtype, shape: [iterations, ...shape] })),
    ],
    { body: { body } },
  );
  return { state: outputs.slice(0, initial.length), scans: outputs.slice(initial.length) };
}
