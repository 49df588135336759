import { GraphError } from '../errors.ts';
import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { adamWStep, clipByNorm, learningRateOf, sumsOfSquares, type AdamWState } from './graph-optimizer.ts';
import type { AdamWSettings } from './update-rules.ts';

/** How a training step is written. */
export interface TrainingStepOptions {
  readonly settings: Pick<AdamWSettings, 'betas' | 'epsilon'>;
  /** No clipping by default. */
  readonly maxGradientNorm?: number;
  /** FedProx: adds `mu/2 · ‖w − reference‖²` to the loss; `mu` is a scalar. */
  readonly proximal?: { readonly mu: Value; readonly reference: readonly Value[] };
  /** SCAFFOLD: added to the gradients before clipping, as `OptimizerOptions.correction` says; the state has `gradientSums` then. */
  readonly correction?: readonly Value[];
  /** What becomes of the gradients before they are measured: rows that are kept as they are, for example. */
  readonly adjust?: (gradients: readonly Value[]) => readonly Value[];
  /** Scalar that the gradients are divided by, because the loss was multiplied by it: keeps float16 gradients from vanishing. */
  readonly lossScale?: Value;
}

/** What a training step computes. */
export interface TrainingStep {
  /** After the update, which is as bad as the gradients where those are not finite. */
  readonly state: AdamWState;
  /** `mu/2 · ‖w − reference‖²` before the update; a scalar. */
  readonly proximalLoss: Value;
  /** Global norm of the gradients (with the proximal term's and the correction) before clipping; a scalar. */
  readonly gradientNorm: Value;
  /** [weights]: each such gradient's sum of squares, which tells the one that is not finite. */
  readonly gradientSquares: Value;
}

/**
 * Proximal term, correction, clipping and AdamW in the graph of the gradients.
 *
 * @param gradients of the (scaled) loss, by `state.weights`: see `differentiate`.
 * @param coefficients one row of `adamWSchedule`.
 */
export function writeTrainingStep(
  state: AdamWState,
  gradients: readonly Value[],
  coefficients: Value,
  { settings, maxGradientNorm, proximal, correction, adjust, lossScale }: TrainingStepOptions,
): TrainingStep {
  let found = adjust === undefined ? gradients : adjust(gradients);
  if (lossScale !== undefined) {
    const inverse = ops.reciprocal(lossScale);
    found = found.map((gradient) => ops.mul(gradient, inverse));
  }
  let proximalLoss: Value = coefficients.graph.constant(0, 'float32');
  if (proximal !== undefined) {
    const { mu, reference } = proximal;
    const drift = state.weights.map((weight, index) => ops.sub(weight, reference[index]!));
    found = found.map((gradient, index) => ops.add(gradient, ops.mul(drift[index]!, mu)));
    proximalLoss = ops.mul(ops.mul(ops.reduceSum(sumsOfSquares(drift)), mu), 0.5);
  }
  let gradientSums: readonly Value[] | undefined;
  if (correction !== undefined) {
    const { gradientSums: before } = state;
    if (before === undefined) throw new GraphError('corrected gradients need gradientSums in the state');
    const rate = learningRateOf(coefficients);
    gradientSums = found.map((gradient, index) => ops.add(before[index]!, ops.mul(gradient, rate)));
    found = found.map((gradient, index) => ops.add(gradient, correction[index]!));
  }
  const gradientSquares = sumsOfSquares(found);
  const gradientNorm = ops.sqrt(ops.reduceSum(gradientSquares));
  const clipped = maxGradientNorm === undefined ? found : clipByNorm(found, gradientNorm, maxGradientNorm);
  const after = adamWStep(state, clipped, coefficients, settings);
  return { state: gradientSums === undefined ? after : { ...after, gradientSums }, proximalLoss, gradientNorm, gradientSquares };
}
