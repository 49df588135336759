import {
  adamWStep,
  clipGlobalNorm,
  COEFFICIENTS,
  encodeModel,
  gradients,
  ops,
  type AdamWSettings,
  type OnnxModel,
  type Value,
} from '@zk0/onnx-train';
import type { SmolVlaModelConfig } from './config.ts';
import { flowMatchingLoss } from './flow-matching.ts';
import { cachedPrefix, flowBatch, steppedFeedOf } from './graph-inputs.ts';
import { nextName, type GraphShape, type WeightSource } from './graph-shape.ts';
import { requireFrozenPrefix, start, type PrefixOptions } from './graph-start.ts';
import { WeightTable } from './weight-table.ts';
import { trainedWeightSpecs } from './weights.ts';

/** Prefixes of what a training loop carries from step to step, for every trained weight. */
const STATE = ['', 'firstMoment/', 'secondMoment/'] as const;

/** How a training loop is written. */
export interface TrainLoopOptions extends PrefixOptions {
  /** Optimiser steps in one run. */
  readonly steps: number;
  readonly optimizer: Pick<AdamWSettings, 'betas' | 'epsilon'>;
  readonly maxGradientNorm: number;
}

/**
 * Forward, backward, FedProx's term, clipping and AdamW, `steps` times in one run, so that weights and moments stay on
 * the device. `schedule` is onnx-train's `adamWSchedule`; `loss` is the policy's, the proximal term stands apart.
 */
export function buildTrainLoopGraph(
  config: SmolVlaModelConfig,
  shape: GraphShape,
  weights: WeightSource,
  options: TrainLoopOptions,
): OnnxModel {
  requireFrozenPrefix(config);
  const { graph, trained } = start('trainLoop', config, weights, 'none', shape);
  const { steps, prefixType = 'float32', optimizer, maxGradientNorm } = options;
  const specs = trainedWeightSpecs(config);
  const inputs = (prefix: string): Value[] => specs.map((spec) => graph.input(`${prefix}${spec.name}`, 'float32', spec.shape));
  const initial = STATE.flatMap(inputs);
  const reference = inputs('reference/');
  const mu = graph.input('mu', 'float32', []);
  const schedule = graph.input('schedule', 'float32', [steps, COEFFICIENTS]);
  const count = trained.length;
  const { state, scans } = ops.loop(graph, steps, initial, ({ iteration, state: now }) => {
    const part = (index: number): readonly Value[] => now.slice(index * count, (index + 1) * count);
    const [current, firstMoments, secondMoments] = [part(0), part(1), part(2)];
    const table = new WeightTable(graph, config, weights, new Map(trained.map((name, index) => [name, current[index]!])));
    const feed = steppedFeedOf(graph, steps, iteration);
    const prefix = cachedPrefix(feed, config, shape, prefixType);
    const loss = flowMatchingLoss(config, table, prefix, flowBatch(feed, config, shape), shape.actionSize);
    const drift = current.map((weight, index) => ops.sub(weight, reference[index]!));
    const distance = ops.addAll(drift.map((value) => ops.reduceSum(ops.mul(value, value))));
    const withTerm = gradients(loss.mean, current).map((gradient, index) => ops.add(gradient, ops.mul(drift[index]!, mu)));
    const { values, norm } = clipGlobalNorm(withTerm, maxGradientNorm);
    const next = adamWStep({ weights: current, firstMoments, secondMoments }, values, ops.gather(schedule, iteration), optimizer);
    return {
      state: [...next.weights, ...next.firstMoments, ...next.secondMoments],
      scans: [loss.mean, ops.mul(ops.mul(distance, mu), 0.5), norm],
    };
  });
  STATE.flatMap((part) => trained.map((name) => nextName(part, name))).forEach((name, index) => {
    graph.output(name, state[index]!);
  });
  ['loss', 'proximalLoss', 'gradientNorm'].forEach((name, index) => {
    graph.output(name, scans[index]!);
  });
  return encodeModel(graph);
}
