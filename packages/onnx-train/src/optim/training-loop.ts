import { differentiate } from '../autodiff/differentiate.ts';
import { GraphError } from '../errors.ts';
import { format } from '../graph/shapes.ts';
import type { GraphBuilder } from '../graph/graph-builder.ts';
import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { COEFFICIENTS, type AdamWState } from './graph-optimizer.ts';
import { LEAST_LOSS_SCALE, writeNextLossScale } from './loss-scaling.ts';
import { writeTrainingStep, type TrainingStepOptions } from './training-step.ts';

/** A whole stretch of training as one graph. */
export interface TrainingLoop extends Omit<TrainingStepOptions, 'lossScale'> {
  /** Optimiser steps in one run. */
  readonly steps: number;
  readonly state: AdamWState;
  /** `adamWSchedule` of these steps: float32 [steps, {@link COEFFICIENTS}]. */
  readonly schedule: Value;
  /** Scales the loss from here on; float32 scalars. Without it, the first gradient that is not finite ends the training. */
  readonly lossScale?: { readonly scale: Value; readonly streak: Value };
  /** In how many parts each batch is computed, one after the other; 1 by default. */
  readonly parts?: number;
  /**
   * Writes the loss of the step whose number (int64 scalar, from 0) it is given, or the share of it that one part of the batch has: one number.
   * See {@link differentiate}.
   */
  readonly loss: (weights: readonly Value[], iteration: Value, part: Value | undefined) => Value;
}

/** What a training loop computes. */
export interface TrainingLoopResult {
  readonly state: AdamWState;
  /** After the last step. */
  readonly lossScale: { readonly scale: Value; readonly streak: Value } | undefined;
  /** [steps]: the loss before each step's update. */
  readonly losses: Value;
  /** [steps]: the proximal term before each step's update. */
  readonly proximalLosses: Value;
  /** [steps]: global norm of the gradients before clipping. */
  readonly gradientNorms: Value;
  /** [steps, weights]: each gradient's sum of squares. */
  readonly gradientSquares: Value;
  /** [steps]: the loss scale after each step, where there is one. */
  readonly lossScales: Value | undefined;
  /** [steps]: 1 where the update was applied, 0 where gradients were not finite or the training had ended. */
  readonly applied: Value;
}

/** The largest float32; NaN and infinity are not below it. */
const LARGEST = 3.4028234663852886e38;

/**
 * Forward, backward, clipping and AdamW, `steps` times in one run: weights and moments stay on the device, so that they
 * cross to and from it once a run instead of once a step.
 *
 * A step whose gradients are not finite changes nothing. With loss scaling it halves the scale and training goes on;
 * without, or when the loss itself is not finite or the scale has fallen below 1, no later step changes anything either, so
 * the state is the last good one.
 */
export function writeTrainingLoop(graph: GraphBuilder, training: TrainingLoop): TrainingLoopResult {
  const { steps, state, schedule, lossScale, parts: partsOfBatch, loss: writeLoss, ...options } = training;
  if (schedule.shape.join() !== `${steps},${COEFFICIENTS}`) {
    throw new GraphError(`schedule ${format(schedule.shape)} is not [${steps}, ${COEFFICIENTS}]`);
  }
  const count = state.weights.length;
  const parts = list(state).length;
  const scale = lossScale === undefined ? [] : [lossScale.scale, lossScale.streak];
  const [one, zero] = [graph.constant(1, 'float32'), graph.constant(0, 'int64')];
  // Whether training still goes on, and how many steps were left out.
  const initial = [...list(state), one, zero, ...scale];
  const result = ops.loop(graph, steps, initial, ({ body, iteration, state: now }) => {
    const before = unpack(now.slice(0, parts), count);
    const [goesOn, skipped, ...scaling] = now.slice(parts) as [Value, Value, ...Value[]];
    const scaled = scaling.length > 0 ? { lossScale: scaling[0]! } : {};
    const { loss, gradients } = differentiate(body, before.weights, (part) => writeLoss(before.weights, iteration, part), { parts: partsOfBatch, ...scaled });
    const coefficients = rowOf(schedule, iteration, skipped);
    const step = writeTrainingStep(before, gradients, coefficients, { ...options, ...scaled });
    const isFinite = ops.less(step.gradientNorm, LARGEST);
    const isGood = ops.and(isFinite, ops.less(ops.abs(loss), LARGEST));
    const isApplied = ops.and(isGood, ops.greater(goesOn, 0.5));
    const after = list(step.state).map((value, index) => ops.where(isApplied, value, now[index]!));
    const nextScale = scaling.length === 0 ? undefined : writeNextLossScale({ scale: scaling[0]!, streak: scaling[1]! }, isFinite);
    const canGoOn =
      nextScale === undefined
        ? isApplied
        : ops.and(ops.less(ops.abs(loss), LARGEST), ops.greaterOrEqual(nextScale.scale, LEAST_LOSS_SCALE));
    const left = ops.mul(ops.cast(canGoOn, 'float32'), goesOn);
    const applied = ops.cast(isApplied, 'float32');
    const skippedAfter = ops.add(skipped, ops.cast(ops.not(isApplied), 'int64'));
    return {
      state: [...after, left, skippedAfter, ...(nextScale === undefined ? [] : [nextScale.scale, nextScale.streak])],
      scans: [loss, step.proximalLoss, step.gradientNorm, step.gradientSquares, applied, ...(nextScale === undefined ? [] : [nextScale.scale])],
    };
  });
  const [losses, proximalLosses, gradientNorms, gradientSquares, applied, lossScales] = result.scans as [
    Value,
    Value,
    Value,
    Value,
    Value,
    Value | undefined,
  ];
  const [, , afterScale, afterStreak] = result.state.slice(parts);
  return {
    state: unpack(result.state.slice(0, parts), count),
    lossScale: lossScale === undefined ? undefined : { scale: afterScale!, streak: afterStreak! },
    losses,
    proximalLosses,
    gradientNorms,
    gradientSquares,
    lossScales,
    applied,
  };
}

/** The coefficients of a step: the schedule goes by the step's number, the bias correction by the steps taken. */
function rowOf(schedule: Value, iteration: Value, skipped: Value): Value {
  const [byStep] = ops.split(ops.gather(schedule, iteration), 0, [2, 2]);
  const [, byTaken] = ops.split(ops.gather(schedule, ops.sub(iteration, skipped)), 0, [2, 2]);
  return ops.concat([byStep!, byTaken!], 0);
}

function list({ weights, firstMoments, secondMoments, gradientSums = [] }: AdamWState): Value[] {
  return [...weights, ...firstMoments, ...secondMoments, ...gradientSums];
}

function unpack(values: readonly Value[], count: number): AdamWState {
  return {
    weights: values.slice(0, count),
    firstMoments: values.slice(count, 2 * count),
    secondMoments: values.slice(2 * count, 3 * count),
    ...(values.length > 3 * count && { gradientSums: values.slice(3 * count) }),
  };
}
