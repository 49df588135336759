import { gradients } from '../autodiff/gradients.ts';
import { GraphError } from '../errors.ts';
import { format } from '../graph/shapes.ts';
import type { GraphBuilder } from '../graph/graph-builder.ts';
import type { Value } from '../graph/value.ts';
import * as ops from '../ops/index.ts';
import { adamWStep, clipGlobalNorm, COEFFICIENTS, globalNorm, type AdamWState } from './graph-optimizer.ts';
import type { AdamWSettings } from './update-rules.ts';

/** A whole stretch of training as one graph. */
export interface TrainingLoop {
  /** Optimiser steps in one run. */
  readonly steps: number;
  readonly state: AdamWState;
  /** `adamWSchedule` of these steps: float32 [steps, {@link COEFFICIENTS}]. */
  readonly schedule: Value;
  /** [steps, …] each: what every step gets its slice of. */
  readonly batches: readonly Value[];
  readonly settings: Pick<AdamWSettings, 'betas' | 'epsilon'>;
  /** No clipping by default. */
  readonly maxGradientNorm?: number;
  /** Writes the loss of a step's batch: one number. */
  readonly loss: (weights: readonly Value[], batch: readonly Value[]) => Value;
}

/** What a training loop computes. */
export interface TrainingLoopResult {
  readonly state: AdamWState;
  /** [steps]: the loss before each step's update. */
  readonly losses: Value;
  /** [steps]: global norm of the gradients before clipping. */
  readonly gradientNorms: Value;
}

/**
 * Forward, backward, clipping and AdamW, `steps` times in one run: weights and moments stay on the device, so that they
 * cross to and from it once a run instead of once a step.
 */
export function writeTrainingLoop(graph: GraphBuilder, training: TrainingLoop): TrainingLoopResult {
  const { steps, state, schedule, batches, settings, maxGradientNorm } = training;
  for (const value of batches) {
    if (value.shape[0] !== steps) throw new GraphError(`batches ${format(value.shape)} are not for ${steps} steps`);
  }
  if (schedule.shape.join() !== `${steps},${COEFFICIENTS}`) {
    throw new GraphError(`schedule ${format(schedule.shape)} is not [${steps}, ${COEFFICIENTS}]`);
  }
  const count = state.weights.length;
  const initial = [...state.weights, ...state.firstMoments, ...state.secondMoments];
  const result = ops.loop(graph, steps, initial, ({ iteration, state: now }) => {
    const pick = (value: Value): Value => ops.gather(value, iteration);
    const before = unpack(now, count);
    const loss = training.loss(before.weights, batches.map(pick));
    const raw = gradients(loss, before.weights);
    const { values, norm } =
      maxGradientNorm === undefined ? { values: raw, norm: globalNorm(raw) } : clipGlobalNorm(raw, maxGradientNorm);
    const after = adamWStep(before, values, pick(schedule), settings);
    return {
      state: [...after.weights, ...after.firstMoments, ...after.secondMoments],
      scans: [ops.reshape(loss, []), norm],
    };
  });
  return { state: unpack(result.state, count), losses: result.scans[0]!, gradientNorms: result.scans[1]! };
}

function unpack(values: readonly Value[], count: number): AdamWState {
  return {
    weights: values.slice(0, count),
    firstMoments: values.slice(count, 2 * count),
    secondMoments: values.slice(2 * count),
  };
}
