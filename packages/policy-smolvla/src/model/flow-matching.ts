import { ops, type Value } from '@zk0/onnx-train';
import type { SmolVlaModelConfig } from './config.ts';
import { observe, predictVelocity } from './expert.ts';
import type { Prefix } from './decoder.ts';
import { timeEmbedding, timeEmbeddings } from './time-embedding.ts';
import type { WeightTable } from './weight-table.ts';

/** What a batch teaches: actions and noise [batch, chunk, maxActionDim], time [batch], flags of padded steps. */
export interface FlowBatch {
  /** [batch, maxStateDim], normalised, zeros behind the real dimensions. */
  readonly state: Value;
  readonly actions: Value;
  readonly noise: Value;
  readonly time: Value;
  /** Bool [batch, chunk]: true where the step lies past the episode's end. */
  readonly actionIsPad: Value;
}

/** A loss as a mean and as its parts. */
export interface Loss {
  readonly mean: Value;
  /** Sum of squared errors over the entries that count. */
  readonly sum: Value;
  /** How many entries count; the mean divides by at least 1. */
  readonly count: Value;
}

/**
 * The flow-matching loss: the expert sees `x_t = t·noise + (1 − t)·actions` and should predict `noise − actions`.
 */
export function flowMatchingLoss(
  config: SmolVlaModelConfig,
  weights: WeightTable,
  prefix: Prefix,
  batch: FlowBatch,
  actionSize: number,
): Loss {
  const { actions, noise, actionIsPad } = batch;
  const time = ops.reshape(batch.time, [-1, 1, 1]);
  const noisy = ops.add(ops.mul(time, noise), ops.mul(ops.sub(time.graph.constant(1, 'float32'), time), actions));
  const context = observe(config, weights, prefix, batch.state);
  const velocity = predictVelocity(config, weights, context, noisy, timeEmbeddings(config, batch.time));
  const error = ops.sub(velocity, ops.sub(noise, actions));
  const counted = config.lossReduction === 'padded' ? error : ops.slice(error, 2, 0, actionSize);
  const sum = ops.reduceSum(ops.mul(ops.mul(counted, counted), ops.unsqueeze(insideOf(actionIsPad), [2])));
  const count = countEntries(config, actionIsPad, actionSize);
  return { mean: ops.div(sum, ops.max(count, 1)), sum, count };
}

/** How many entries of a batch's error count: {@link Loss.count}. */
export function countEntries(config: SmolVlaModelConfig, actionIsPad: Value, actionSize: number): Value {
  const size = config.lossReduction === 'padded' ? config.maxActionDim : actionSize;
  const [batchSize, chunk] = actionIsPad.shape as [number, number];
  if (config.lossReduction !== 'valid') return actionIsPad.graph.constant(batchSize * chunk * size, 'float32');
  return ops.mul(ops.reduceSum(insideOf(actionIsPad)), size);
}

/** 1 where a step lies in the episode, 0 past its end. */
function insideOf(actionIsPad: Value): Value {
  return ops.cast(ops.not(actionIsPad), 'float32');
}

/** Integrates the predicted velocity from noise at time 1 to actions at time 0 in `numSteps` Euler steps. */
export function sampleActions(config: SmolVlaModelConfig, weights: WeightTable, prefix: Prefix, state: Value, noise: Value): Value {
  const context = observe(config, weights, prefix, state);
  const step = -1 / config.numSteps;
  let x = noise;
  for (let index = 0; index < config.numSteps; index++) {
    const embedding = timeEmbedding(config, Math.fround(1 + index * step));
    const velocity = predictVelocity(config, weights, context, x, noise.graph.constant(embedding, 'float32', [1, embedding.length]));
    x = ops.add(x, ops.mul(velocity, step));
  }
  return x;
}
