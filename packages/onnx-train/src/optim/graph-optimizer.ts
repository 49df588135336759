/** The optimisers as graph nodes: the same formulas as `update-rules.ts`, for devices that keep the state to themselves. */
import { GraphError } from '../errors.ts';
import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { float32Tensor, type Tensor } from '../session/tensor.ts';
import { adamWCoefficients, type AdamWSettings } from './update-rules.ts';

/** Number of coefficients of a step, in the order of {@link adamWSchedule}. */
export const COEFFICIENTS = 4;

/**
 * What AdamW needs to know of each step, computed in float64 here because float32 would lose the bias correction.
 *
 * The first two belong to the step's place in the schedule, the last two to the number of steps taken before it: with loss
 * scaling a step can be left out, and `writeTrainingLoop` then goes on with the correction that was not used.
 *
 * @param firstStep number of the first step, from 1.
 * @returns float32 [steps, {@link COEFFICIENTS}]: weight decay factor, learning rate, first correction (a factor), root of
 * the second correction (a divisor).
 */
export function adamWSchedule(
  settings: Pick<AdamWSettings, 'betas' | 'weightDecay'>,
  learningRates: readonly number[],
  firstStep: number,
): Tensor {
  const rows = learningRates.flatMap((learningRate, index) => {
    const { decay, rootCorrection } = adamWCoefficients(settings, learningRate, firstStep + index);
    return [decay, learningRate, 1 / (1 - settings.betas[0] ** (firstStep + index)), rootCorrection];
  });
  return float32Tensor(Float32Array.from(rows), [learningRates.length, COEFFICIENTS]);
}

/** Weights with their moments, index by index. */
export interface AdamWState {
  readonly weights: readonly Value[];
  readonly firstMoments: readonly Value[];
  readonly secondMoments: readonly Value[];
  /** `Σ lrᵢ·gᵢ` before correction and clipping; where gradients are corrected. */
  readonly gradientSums?: readonly Value[];
}

/** Sums of squares of values, one each: [values]. */
export function sumsOfSquares(values: readonly Value[]): Value {
  if (values.length === 0) throw new GraphError('the norm of no values');
  return ops.concat(values.map((value) => ops.reshape(ops.reduceSum(ops.mul(value, value)), [1])), 0);
}

/** Global L2 norm of values; a scalar. */
export function globalNorm(values: readonly Value[]): Value {
  return ops.sqrt(ops.reduceSum(sumsOfSquares(values)));
}

/** Gradients scaled down to a global norm of at most `maxNorm`, as `torch.nn.utils.clip_grad_norm_` does. */
export function clipGlobalNorm(values: readonly Value[], maxNorm: number): { values: Value[]; norm: Value } {
  const norm = globalNorm(values);
  return { values: clipByNorm(values, norm, maxNorm), norm };
}

/** The same where the norm is known. */
export function clipByNorm(values: readonly Value[], norm: Value, maxNorm: number): Value[] {
  const factor = ops.min(ops.div(maxNorm, ops.add(norm, 1e-6)), 1);
  return values.map((value) => ops.mul(value, factor));
}

/**
 * One AdamW step.
 *
 * @param coefficients one row of {@link adamWSchedule}, float32 [{@link COEFFICIENTS}].
 */
export function adamWStep(
  state: AdamWState,
  gradients: readonly Value[],
  coefficients: Value,
  { betas, epsilon }: Pick<AdamWSettings, 'betas' | 'epsilon'>,
): AdamWState {
  const [decay, rate, firstCorrection, rootCorrection] = ops.split(coefficients, 0, [1, 1, 1, 1]) as [Value, Value, Value, Value];
  const stepSize = ops.mul(rate, firstCorrection);
  const firstMoments = state.firstMoments.map((m, index) =>
    ops.add(m, ops.mul(ops.sub(gradients[index]!, m), 1 - betas[0])),
  );
  const secondMoments = state.secondMoments.map((v, index) =>
    ops.add(ops.mul(v, betas[1]), ops.mul(ops.mul(gradients[index]!, gradients[index]!), 1 - betas[1])),
  );
  const weights = state.weights.map((w, index) => {
    const root = ops.add(ops.div(ops.sqrt(secondMoments[index]!), scalarFor(rootCorrection, w)), epsilon);
    const update = ops.mul(ops.div(firstMoments[index]!, root), scalarFor(stepSize, w));
    return ops.sub(ops.mul(w, scalarFor(decay, w)), update);
  });
  return { weights, firstMoments, secondMoments };
}

/** The learning rate in a row of {@link adamWSchedule}; a scalar. */
export function learningRateOf(coefficients: Value): Value {
  return ops.reshape(ops.split(coefficients, 0, [1, 1, COEFFICIENTS - 2])[1]!, []);
}

/** One step of plain stochastic gradient descent; `learningRate` is a scalar. */
export function sgdStep(weights: readonly Value[], gradients: readonly Value[], learningRate: Value): Value[] {
  return weights.map((w, index) => ops.sub(w, ops.mul(gradients[index]!, learningRate)));
}

/** A [1] value that broadcasts to `like` without adding an axis to a scalar. */
function scalarFor(value: Value, like: Value): Value {
  return like.shape.length === 0 ? ops.reshape(value, []) : value;
}
