/**
 * @module
 * Training steps whose optimiser is part of the graph, for devices that keep weights and moments to themselves.
 *
 * | graph | in | out |
 * |---|---|---|
 * | train step | what train takes; with LoRA, what stands here for weights are their factors, and the weights are inputs that stay; `firstMoment/` and `secondMoment/<weight>`; `coefficients` [4], a row of onnx-train's `adamWSchedule`; with FedProx's term `reference/<weight>` and `mu` []; with SCAFFOLD's `correction/` and `gradientSum/<weight>`; with loss scaling `lossScale` [] | `next/` weights, moments and gradient sums, `loss` (the policy's), `proximalLoss`, `gradientNorm` [], `gradientSquares` [weights] |
 * | train loop | the same with [steps, …] of everything a batch has; `schedule` [steps, 4] instead of `coefficients`; with loss scaling also `lossStreak` [] | `next/` weights, moments and gradient sums (and `next/lossScale`, `next/lossStreak`), the others by step, `applied` (and `lossScales`) [steps] |
 */
import type { TensorSpec } from '@zk0/core';
import {
  COEFFICIENTS,
  differentiate,
  encodeModel,
  writeTrainingLoop,
  writeTrainingStep,
  type AdamWSettings,
  type AdamWState,
  type GraphBuilder,
  type OnnxModel,
  type Value,
} from '@zk0/onnx-train';
import { lossShares } from './batch-loss.ts';
import type { SmolVlaModelConfig } from './config.ts';
import { flowMatchingLoss } from './flow-matching.ts';
import { feedOf, flowBatch, prefixFrom, steppedFeedOf, type Feed, type PrefixSource } from './graph-inputs.ts';
import { nextName, type GraphShape, type TrainingPart, type WeightSource } from './graph-shape.ts';
import { requireFrozenPrefix, start, type BatchParts, type PrecisionOptions } from './graph-start.ts';
import { optimizedSpecs } from './lora.ts';
import { withoutPadding } from './padding-gradient.ts';
import { WeightTable } from './weight-table.ts';
import { trainedWeightSpecs } from './weights.ts';

/** What a training step carries, for every trained weight; the last where gradients are corrected. */
const PARTS = ['', 'firstMoment/', 'secondMoment/', 'gradientSum/'] as const satisfies readonly TrainingPart[];

/** How a training step is written. */
export interface DeviceTrainingOptions extends PrecisionOptions, BatchParts {
  readonly source: PrefixSource;
  readonly optimizer: Pick<AdamWSettings, 'betas' | 'epsilon'>;
  readonly maxGradientNorm: number;
  /** Whether there is a proximal term. */
  readonly proximal: boolean;
  /** Whether gradients are corrected (SCAFFOLD). */
  readonly correction: boolean;
  /** Whether the loss is scaled: for products in float16. */
  readonly lossScaling: boolean;
}

/** Inputs that stay from step to step, and the outputs that renew them. */
export function trainingState(
  config: SmolVlaModelConfig,
  { proximal, correction }: Pick<DeviceTrainingOptions, 'proximal' | 'correction'>,
): Record<string, string | null> {
  const names = optimizedSpecs(config).map(({ name }) => name);
  return Object.fromEntries<string | null>([
    ...fixedSpecs(config).map(({ name }) => [name, null] as const),
    ...PARTS.slice(0, correction ? 4 : 3).flatMap((part) => names.map((name) => [`${part}${name}`, nextName(part, name)] as const)),
    ...(proximal ? names.map((name) => [`reference/${name}`, null] as const) : []),
    ...(correction ? names.map((name) => [`correction/${name}`, null] as const) : []),
  ]);
}

/** The weights that stay as they are while their factors are trained. */
function fixedSpecs(config: SmolVlaModelConfig): readonly TensorSpec[] {
  return config.lora === undefined ? [] : trainedWeightSpecs(config);
}

/** Forward, backward, FedProx's term, SCAFFOLD's correction, clipping and AdamW of one batch. */
export function buildTrainStepGraph(
  config: SmolVlaModelConfig,
  shape: GraphShape,
  weights: WeightSource,
  options: DeviceTrainingOptions,
): OnnxModel {
  const training = begin('trainStep', config, shape, weights, options);
  const { graph, state } = training;
  const scaled = options.lossScaling ? { lossScale: graph.input('lossScale', 'float32', []) } : {};
  const { loss, gradients } = differentiate(graph, state.weights, training.loss(feedOf(graph), state.weights), { parts: options.parts, ...scaled });
  const coefficients = graph.input('coefficients', 'float32', [COEFFICIENTS]);
  const step = writeTrainingStep(state, gradients, coefficients, { ...training.options, ...scaled });
  outputState(training, step.state);
  graph.output('loss', loss);
  graph.output('proximalLoss', step.proximalLoss);
  graph.output('gradientNorm', step.gradientNorm);
  graph.output('gradientSquares', step.gradientSquares);
  return encodeModel(graph);
}

/** The same for `steps` batches in one run, so that weights and moments stay on the device between them. */
export function buildTrainLoopGraph(
  config: SmolVlaModelConfig,
  shape: GraphShape,
  weights: WeightSource,
  options: DeviceTrainingOptions & { readonly steps: number },
): OnnxModel {
  const training = begin('trainLoop', config, shape, weights, options);
  const { graph, state } = training;
  const { steps } = options;
  const scalar = (name: string): Value => graph.input(name, 'float32', []);
  const result = writeTrainingLoop(graph, {
    ...training.options,
    steps,
    state,
    parts: options.parts ?? 1,
    schedule: graph.input('schedule', 'float32', [steps, COEFFICIENTS]),
    ...(options.lossScaling && { lossScale: { scale: scalar('lossScale'), streak: scalar('lossStreak') } }),
    loss: (current, iteration, part) => training.loss(steppedFeedOf(graph, steps, iteration), current)(part),
  });
  outputState(training, result.state);
  if (result.lossScale !== undefined) {
    graph.output('next/lossScale', result.lossScale.scale);
    graph.output('next/lossStreak', result.lossScale.streak);
    graph.output('lossScales', result.lossScales!);
  }
  graph.output('loss', result.losses);
  graph.output('proximalLoss', result.proximalLosses);
  graph.output('gradientNorm', result.gradientNorms);
  graph.output('gradientSquares', result.gradientSquares);
  graph.output('applied', result.applied);
  return encodeModel(graph);
}

interface Training {
  readonly graph: GraphBuilder;
  readonly optimized: readonly string[];
  readonly state: AdamWState;
  readonly options: Pick<Parameters<typeof writeTrainingStep>[3], 'settings' | 'maxGradientNorm' | 'proximal' | 'correction' | 'adjust'>;
  /** The policy's loss of a batch, or the share of it that one part has. */
  readonly loss: (feed: Feed, current: readonly Value[]) => (part: Value | undefined) => Value;
}

function begin(
  name: string,
  config: SmolVlaModelConfig,
  shape: GraphShape,
  weights: WeightSource,
  options: DeviceTrainingOptions,
): Training {
  const { source, proximal, correction } = options;
  if (source.from !== 'images') requireFrozenPrefix(config);
  const { graph, optimized } = start(name, config, weights, 'none', options, shape);
  const specs = optimizedSpecs(config);
  const fixed = fixedSpecs(config).map((spec) => [spec.name, graph.input(spec.name, 'float32', spec.shape)] as const);
  const inputs = (part: string): Value[] => specs.map((spec) => graph.input(`${part}${spec.name}`, 'float32', spec.shape));
  const [current, firstMoments, secondMoments] = PARTS.slice(0, 3).map(inputs) as [Value[], Value[], Value[]];
  return {
    graph,
    optimized,
    state: { weights: current, firstMoments, secondMoments, ...(correction && { gradientSums: inputs('gradientSum/') }) },
    options: {
      settings: options.optimizer,
      maxGradientNorm: options.maxGradientNorm,
      adjust: (found) => withoutPadding(config, optimized, found),
      ...(proximal && { proximal: { mu: graph.input('mu', 'float32', []), reference: inputs('reference/') } }),
      ...(correction && { correction: inputs('correction/') }),
    },
    loss: (feed, now) => {
      const table = new WeightTable(graph, config, weights, new Map([...fixed, ...optimized.map((weight, index) => [weight, now[index]!] as const)]));
      return lossShares(config, shape, options.parts ?? 1, feed, (fed, part) => {
        const prefix = prefixFrom(source, fed, config, part, table);
        return flowMatchingLoss(config, table, prefix, flowBatch(fed, config, part), part.actionSize);
      });
    },
  };
}

function outputState({ graph, optimized }: Training, { weights, firstMoments, secondMoments, gradientSums = [] }: AdamWState): void {
  [weights, firstMoments, secondMoments, gradientSums].forEach((values, index) => {
    values.forEach((value, at) => {
      graph.output(nextName(PARTS[index]!, optimized[at]!), value);
    });
  });
}
