import {
  deriveSeed,
  InvalidArgumentError,
  updateNorm,
  type EvaluateResult,
  type FitInstructions,
  type FitOptions,
  type FitResult,
  type Learner,
  type Parameters,
  type WorkHooks,
} from '@zk0/core';
import { float32Tensor, type Tensor } from '@zk0/onnx-train';
import { checkParameters } from '../checkpoint/save-checkpoint.ts';
import type { SmolVlaConfig } from '../config/policy-config.ts';
import { PolicyError } from '../errors.ts';
import type { GraphShape } from '../model/graph-shape.ts';
import { trainedWeightSpecs } from '../model/weights.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';
import { sharedWeights } from '../runtime/shared-weights.ts';
import { BatchPlan } from './batch-plan.ts';
import { meansOf, readCorrection } from './correction.ts';
import type { DatasetBinding } from './dataset-binding.ts';
import { FeedPlaces } from './feed-places.ts';
import { adaptation } from './adaptation.ts';
import { evaluateGraphFrom, hasManyRows } from './input-graphs.ts';
import type { FeedsToCome, ModelInputs } from './model-inputs.ts';
import { throwIfAborted, type Trained } from './round.ts';
import { cosineScale, drawFlowNoise, planBatches, planEvaluation } from './sampling.ts';
import { StepTally } from './step-tally.ts';
import { trainerFor } from './trainers.ts';
import { withinMemory, type MemoryHooks } from './within-memory.ts';

/** So small that no gradient changes by what it moves, and large enough for sums of gradients by rate in float32. */
const NEGLIGIBLE_RATE = 1e-12;

/** What a learner is made of. */
export interface LearnerParts {
  readonly config: SmolVlaConfig;
  readonly runtime: ModelRuntime;
  readonly binding: DatasetBinding;
  /** Made when first needed. */
  readonly inputs: () => Promise<ModelInputs>;
  readonly actionSize: number;
  /** Called about the device's memory. */
  readonly memory: MemoryHooks;
}

/** How a batch is made. */
interface BatchOptions {
  readonly shape: GraphShape;
  readonly places: FeedPlaces;
  /** Of its noise. */
  readonly seed: string;
}

/** Which samples an evaluation takes. */
interface EvaluateOptions {
  readonly seed: string;
  readonly batches: number;
  readonly batchSize: number;
}

/** A SmolVLA bound to one dataset: trains and evaluates weights that come in from outside. */
export class SmolVlaLearner implements Learner {
  readonly #parts: LearnerParts;
  #inputs: Promise<ModelInputs> | undefined;

  constructor(parts: LearnerParts) {
    this.#parts = parts;
  }

  /**
   * K steps of AdamW from `global`, with a cosine learning rate, FedProx's term, and SCAFFOLD's correction. AdamW begins anew, or goes
   * on from `options.optimizer`; the cosine begins anew in any case, so with kept moments the rate jumps back to its peak. At a learning rate of 0, where a schedule may end, the weights stay as they are and all else is as in other rounds.
   *
   * With LoRA the steps are taken with fresh factors, which the result has beside the weights that they make.
   *
   * @throws NotFiniteError naming step and tensor, with the last good weights; PolicyError for a correction or an optimiser's state that does not fit;
   *   CancelledError between steps.
   */
  fit(global: Parameters, instructions: FitInstructions, options: FitOptions = {}): Promise<FitResult> {
    return this.#parts.runtime.recovering(() => this.#fit(global, instructions, options));
  }

  async #fit(global: Parameters, instructions: FitInstructions, options: FitOptions): Promise<FitResult> {
    const started = performance.now();
    checkInstructions(instructions);
    const { config, binding, runtime } = this.#parts;
    checkParameters({ config }, global);
    const inputs = await this.#openInputs();
    const { localSteps, batchSize, seed, proximalMu } = instructions;
    const shape = this.#shape(batchSize);
    const { frameCount } = binding.dataset.info;
    const plan = new BatchPlan(binding.unreadable, (isReadable) => planBatches(frameCount, localSteps, batchSize, seed, isReadable));
    await this.#prepare(inputs, plan, options);
    const correction = options.correction === undefined ? undefined : await readCorrection(config, options.correction);
    const { learningRate } = instructions;
    // Gradients are summed by rate: where they are asked for, there must be one.
    const peak = learningRate === 0 && correction !== undefined ? NEGLIGIBLE_RATE : learningRate;
    const learningRates = Array.from({ length: localSteps }, (_, step) => peak * cosineScale(step, localSteps));
    const adapted = adaptation(config.model, global, seed, options);
    const train = async (parts: number): Promise<Trained & { readonly tally: StepTally; readonly parts: number }> => {
      const places = new FeedPlaces(2);
      const tally = new StepTally(learningRates);
      const trained = await adapted.train(trainerFor(runtime), {
        config,
        runtime,
        shape,
        source: inputs.source,
        parts,
        steps: localSteps,
        learningRates,
        proximalMu,
        correction,
        optimizer: options.optimizer,
        // The order of a round has no end.
        feeds: async (step) => (await this.#feeds(inputs, plan, step, { shape, places, seed: deriveSeed(seed, 'step', step) }))!,
        signal: options.signal,
        onStep: (step, report) => {
          tally.add(step, report);
          options.onProgress?.({ phase: 'training', step: step + 1, totalSteps: localSteps, loss: report.policyLoss });
        },
      });
      return { ...trained, tally, parts };
    };
    const { optimized, gradientSums, tally, parts } = await withinMemory({ runtime, shape, source: inputs.source, steps: localSteps }, this.#parts.memory, train);
    const parameters = peak === learningRate ? adapted.weightsOf(optimized) : copyOf(global);
    const numExamples = frameCount;
    const corrupt = plan.current.skipped.size;
    if (gradientSums !== undefined && tally.rateSum === 0) {
      throw new PolicyError('NOT_FINITE', 'no step of the round was applied: there is no mean gradient', {
        hint: 'Use --precision float32, and validate the dataset for outliers.',
      });
    }
    return {
      parameters,
      ...(config.model.lora !== undefined && { factors: optimized }),
      ...(gradientSums !== undefined && { meanGradient: meansOf(gradientSums, tally.rateSum) }),
      numExamples,
      metrics: {
        ...tally.losses,
        // In float16 every step may have overflowed; a round without one applied step has no gradient to speak of.
        ...(tally.gradientNorm !== undefined && { grad_norm: tally.gradientNorm }),
        num_steps: localSteps,
        ...(parts > 1 && { num_batch_parts: parts }),
        ...(runtime.precision === 'float16' && { num_skipped_steps: tally.skipped }),
        ...(corrupt > 0 && { num_corrupt_frames: corrupt }),
        num_examples: numExamples,
        param_update_norm: updateNorm(parameters, global),
        lr: learningRate,
        mu: proximalMu,
        duration_s: (performance.now() - started) / 1000,
      },
    };
  }

  evaluate(parameters: Parameters, options: EvaluateOptions, hooks: WorkHooks = {}): Promise<EvaluateResult> {
    return this.#parts.runtime.recovering(() => this.#evaluate(parameters, options, hooks));
  }

  async #evaluate(parameters: Parameters, options: EvaluateOptions, hooks: WorkHooks): Promise<EvaluateResult> {
    const started = performance.now();
    checkCounts({ batches: options.batches }, 0);
    checkCounts({ batchSize: options.batchSize }, 1);
    const { config, binding, runtime } = this.#parts;
    checkParameters({ config }, parameters);
    const inputs = await this.#openInputs();
    const shape = this.#shape(options.batchSize);
    const { batches: most, batchSize, seed } = options;
    const { frameCount } = binding.dataset.info;
    const plan = new BatchPlan(binding.unreadable, (isReadable) => planEvaluation(frameCount, most, batchSize, seed, isReadable));
    await this.#prepare(inputs, plan, hooks);
    const key = `evaluate ${JSON.stringify([inputs.source, shape])}`;
    const model = await runtime.weighted(key, hasManyRows(inputs.source), () => evaluateGraphFrom(runtime, shape, inputs.source));
    const weights = Object.fromEntries(sharedWeights(trainedWeightSpecs(config.model), parameters));
    const totalBatches = plan.current.batches.length;
    const places = new FeedPlaces(1);
    const batchLosses: { readonly mean: number; readonly count: number }[] = [];
    let sum = 0;
    let count = 0;
    for (let step = 0; step < plan.current.batches.length; step++) {
      throwIfAborted(hooks.signal, 'evaluation');
      const batch = await this.#feeds(inputs, plan, step, { shape, places, seed: deriveSeed(seed, 'step', step) });
      if (batch === null) break;
      const feeds = await batch();
      const { lossSum, lossCount } = await model.run(weights, feeds, ['lossSum', 'lossCount']);
      const batchSum = arrayOf(lossSum!)[0]!;
      if (!Number.isFinite(batchSum)) {
        throw new PolicyError('NOT_FINITE', `evaluation batch ${step}: the loss is not finite`, {
          hint: 'The training has diverged: lower the learning rate, and validate the datasets for outliers.',
        });
      }
      sum += batchSum;
      const batchCount = arrayOf(lossCount!)[0]!;
      count += batchCount;
      batchLosses.push({ mean: batchSum / batchCount, count: batchCount });
      hooks.onProgress?.({ phase: 'evaluating', step: step + 1, totalSteps: plan.current.batches.length, loss: sum / count });
    }
    const { batches, skipped } = plan.current;
    const numExamples = batches.reduce((total, { length }) => total + length, 0);
    const loss = sum / count;
    const durationS = (performance.now() - started) / 1000;
    return {
      loss,
      numExamples,
      metrics: {
        policy_loss: loss,
        num_steps: batches.length,
        successful_batches: batchLosses.length,
        total_batches: totalBatches,
        ...standardError(batchLosses, loss),
        ...(skipped.size > 0 && { num_corrupt_frames: skipped.size }),
        num_examples: numExamples,
        duration_s: durationS,
      },
    };
  }

  async close(): Promise<void> {
    const inputs = this.#inputs;
    this.#inputs = undefined;
    await (await inputs)?.close();
  }

  #openInputs(): Promise<ModelInputs> {
    this.#inputs ??= this.#parts.inputs();
    this.#inputs.catch(() => (this.#inputs = undefined));
    return this.#inputs;
  }

  #shape(batch: number): GraphShape {
    const { binding, actionSize } = this.#parts;
    const { datasetKeys, emptySlots } = binding.cameras;
    return { batch, cameras: datasetKeys.length, emptyCameras: emptySlots, languageTokens: binding.languageTokens, actionSize };
  }

  /** Does ahead what the frames of a plan need. Those drawn in place of unreadable ones may be unreadable too. */
  async #prepare(inputs: ModelInputs, plan: BatchPlan, hooks: WorkHooks): Promise<void> {
    const { unreadable } = this.#parts.binding;
    let known: number;
    do {
      known = unreadable.count;
      await inputs.prepare(plan.current.batches.flat(), hooks);
    } while (unreadable.count > known);
  }

  /**
   * Everything but the weights that one batch feeds, as far as it can be had without the processor's threads. Null where the plan
   * ends before that step, now that some frames turned out unreadable.
   */
  async #feeds(inputs: ModelInputs, plan: BatchPlan, step: number, { shape, places, seed }: BatchOptions): Promise<FeedsToCome | null> {
    const { config, binding } = this.#parts;
    const { chunkSize, maxActionDim } = config.model;
    const { noise, time } = drawFlowNoise(seed, shape.batch, chunkSize * maxActionDim);
    let frames: readonly number[] | undefined;
    let observed: FeedsToCome | null;
    do {
      frames = plan.current.batches[step];
      if (frames === undefined) return null;
      observed = await inputs.feeds(frames, shape, places);
    } while (observed === null);
    const vectors = binding.vectors(frames, shape.batch);
    const feeds = observed;
    return async () => ({
      ...vectors,
      ...(await feeds()),
      noise: float32Tensor(noise, [shape.batch, chunkSize, maxActionDim]),
      time: float32Tensor(time, [shape.batch]),
    });
  }
}

/** How far the loss may be from that of all such samples: the standard error of a ratio, from the spread between batches. */
function standardError(batches: readonly { readonly mean: number; readonly count: number }[], loss: number): { standard_error?: number } {
  if (batches.length < 2) return {};
  const total = batches.reduce((sum, { count }) => sum + count, 0);
  const squares = batches.reduce((sum, { mean, count }) => sum + (count * (mean - loss)) ** 2, 0);
  return { standard_error: Math.sqrt((batches.length / (batches.length - 1)) * squares) / total };
}

function checkInstructions({ localSteps, batchSize, learningRate, proximalMu }: FitInstructions): void {
  checkCounts({ localSteps, batchSize }, 1);
  if (!(learningRate >= 0) || !Number.isFinite(learningRate)) throw new InvalidArgumentError(`learningRate ${learningRate} is negative or not finite`);
  if (!(proximalMu >= 0) || !Number.isFinite(proximalMu)) throw new InvalidArgumentError(`proximalMu ${proximalMu} is negative or not finite`);
}

function copyOf(parameters: Parameters): Parameters {
  return new Map([...parameters].map(([name, { shape, data }]) => [name, { shape, data: new Float32Array(data) }]));
}

function checkCounts(counts: Readonly<Record<string, number>>, least: number): void {
  for (const [name, count] of Object.entries(counts)) {
    if (!Number.isSafeInteger(count) || count < least) {
      throw new InvalidArgumentError(`${name} ${count} is not a whole number of at least ${least}`);
    }
  }
}

function arrayOf(tensor: Tensor): Float32Array {
  return tensor.data as Float32Array;
}
