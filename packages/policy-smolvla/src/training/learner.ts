import {
  CancelledError,
  deriveSeed,
  InvalidArgumentError,
  updateNorm,
  type EvaluateResult,
  type FitInstructions,
  type FitResult,
  type Float32Tensor,
  type Learner,
  type Parameters,
  type WorkHooks,
} from '@zk0/core';
import { float32Tensor, GradientError, Optimizer, sharedTensor, type Session, type Tensor } from '@zk0/onnx-train';
import { checkParameters } from '../checkpoint/save-checkpoint.ts';
import type { SmolVlaConfig } from '../config/policy-config.ts';
import { NotFiniteError } from '../errors.ts';
import { gradientName, type GraphShape } from '../model/graph-shape.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';
import { sharedWeights } from '../runtime/shared-weights.ts';
import type { DatasetBinding } from './dataset-binding.ts';
import { graphFrom, type FeedsToCome, type ModelInputs } from './model-inputs.ts';
import { cosineScale, drawFlowNoise, planBatches, planEvaluation } from './sampling.ts';

/** Trained values from which threads pay for an optimiser step; fewer take milliseconds in the calling thread. */
const THREADED_FROM = 4e6;

/** What a learner is made of. */
export interface LearnerParts {
  readonly config: SmolVlaConfig;
  readonly runtime: ModelRuntime;
  readonly binding: DatasetBinding;
  /** Made when first needed. */
  readonly inputs: () => Promise<ModelInputs>;
  readonly actionSize: number;
}

/** What the steps of a round go through. */
interface TrainingPlan {
  readonly inputs: ModelInputs;
  /** Frames of each step. */
  readonly batches: readonly (readonly number[])[];
  readonly shape: GraphShape;
  readonly instructions: FitInstructions;
}

/** What a step found. */
interface StepResult {
  /** Policy and proximal loss together. */
  readonly loss: number;
  readonly policyLoss: number;
  readonly proximalLoss: number;
  readonly gradNorm: number;
}

/** A SmolVLA bound to one dataset: trains and evaluates weights that come in from outside. */
export class SmolVlaLearner implements Learner {
  readonly #parts: LearnerParts;
  #inputs: Promise<ModelInputs> | undefined;

  constructor(parts: LearnerParts) {
    this.#parts = parts;
  }

  /**
   * K steps of AdamW from `global`, restarted each round, with a cosine learning rate and FedProx's term.
   *
   * @throws NotFiniteError naming step and tensor, with the last good weights; CancelledError between steps.
   */
  async fit(global: Parameters, instructions: FitInstructions, hooks: WorkHooks = {}): Promise<FitResult> {
    const started = performance.now();
    checkInstructions(instructions);
    const { config, binding } = this.#parts;
    checkParameters({ config }, global);
    const inputs = await this.#openInputs();
    const { localSteps, batchSize, seed, proximalMu } = instructions;
    const shape = this.#shape(batchSize);
    const batches = planBatches(binding.dataset.info.frameCount, localSteps, batchSize, seed);
    await inputs.prepare(batches.flat(), hooks);
    const weights = sharedWeights(config.model, global);
    const last = await this.#train(weights, { inputs, batches, shape, instructions }, hooks);
    const parameters = copyOut(weights);
    const numExamples = binding.dataset.info.frameCount;
    return {
      parameters,
      numExamples,
      metrics: {
        loss: last.loss,
        policy_loss: last.policyLoss,
        fedprox_loss: last.proximalLoss,
        grad_norm: last.gradNorm,
        num_steps: localSteps,
        num_examples: numExamples,
        param_update_norm: updateNorm(parameters, global),
        lr: instructions.learningRate,
        mu: proximalMu,
        duration_s: (performance.now() - started) / 1000,
      },
    };
  }

  /** Changes the weights in place; what the last step found. Gradients and moments end with it. */
  async #train(weights: ReadonlyMap<string, Tensor>, { inputs, batches, shape, instructions }: TrainingPlan, hooks: WorkHooks): Promise<StepResult> {
    const { localSteps, seed, proximalMu } = instructions;
    const session = await this.#session('train', inputs, shape);
    const gradients = new Map([...weights].map(([name, { shape: size }]) => [gradientName(name), sharedTensor('float32', size)]));
    const optimizer = this.#optimizer(weights, gradients, proximalMu);
    const fixed = { feeds: Object.fromEntries(weights), into: Object.fromEntries(gradients) };
    let last: StepResult = { loss: NaN, policyLoss: NaN, proximalLoss: 0, gradNorm: NaN };
    let next: Promise<FeedsToCome> | undefined;
    try {
      next = this.#feeds(inputs, batches[0]!, shape, deriveSeed(seed, 'step', 0));
      for (let step = 0; step < localSteps; step++) {
        throwIfAborted(hooks.signal, 'training');
        const feeds = await (await next)();
        if (step + 1 < localSteps) {
          // Decoding and reading for the next step overlap with this one; what is left to compute would only compete with it.
          next = this.#feeds(inputs, batches[step + 1]!, shape, deriveSeed(seed, 'step', step + 1));
          next.catch(() => undefined);
        }
        const { loss } = await session.run({ ...feeds, ...fixed.feeds }, { into: fixed.into });
        const policyLoss = arrayOf(loss!)[0]!;
        if (!Number.isFinite(policyLoss)) throw new NotFiniteError(step, 'loss', copyOut(weights));
        const learningRate = instructions.learningRate * cosineScale(step, localSteps);
        const { gradientNorm, proximalLoss } = await optimizer.step(learningRate).catch((error: unknown) => {
          throw error instanceof GradientError ? new NotFiniteError(step, gradientName(error.tensor), copyOut(weights)) : error;
        });
        last = { loss: policyLoss + proximalLoss, policyLoss, proximalLoss, gradNorm: gradientNorm };
        hooks.onProgress?.({ phase: 'training', step: step + 1, totalSteps: localSteps, loss: last.loss });
      }
      return last;
    } finally {
      // Nothing may still be reading when the caller closes what it reads from.
      await next?.catch(() => undefined);
      await optimizer.close();
    }
  }

  async evaluate(
    parameters: Parameters,
    options: { readonly seed: string; readonly batches: number; readonly batchSize: number },
    hooks: WorkHooks = {},
  ): Promise<EvaluateResult> {
    const started = performance.now();
    checkCounts({ batches: options.batches }, 0);
    checkCounts({ batchSize: options.batchSize }, 1);
    const { config, binding } = this.#parts;
    checkParameters({ config }, parameters);
    const inputs = await this.#openInputs();
    const shape = this.#shape(options.batchSize);
    const batches = planEvaluation(binding.dataset.info.frameCount, options.batches, options.batchSize, options.seed);
    await inputs.prepare(batches.flat(), hooks);
    const session = await this.#session('evaluate', inputs, shape);
    const weights = Object.fromEntries(sharedWeights(config.model, parameters));
    let sum = 0;
    let count = 0;
    for (const [step, frames] of batches.entries()) {
      throwIfAborted(hooks.signal, 'evaluation');
      const feeds = await (await this.#feeds(inputs, frames, shape, deriveSeed(options.seed, 'step', step)))();
      const { lossSum, lossCount } = await session.run({ ...feeds, ...weights }, { outputs: ['lossSum', 'lossCount'] });
      const batchSum = arrayOf(lossSum!)[0]!;
      if (!Number.isFinite(batchSum)) throw new NotFiniteError(step, 'loss', parameters);
      sum += batchSum;
      count += arrayOf(lossCount!)[0]!;
      hooks.onProgress?.({ phase: 'evaluating', step: step + 1, totalSteps: batches.length, loss: sum / count });
    }
    const numExamples = batches.reduce((total, { length }) => total + length, 0);
    const loss = sum / count;
    const durationS = (performance.now() - started) / 1000;
    return {
      loss,
      numExamples,
      metrics: { policy_loss: loss, num_steps: batches.length, num_examples: numExamples, duration_s: durationS },
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

  #session(kind: 'train' | 'evaluate', inputs: ModelInputs, shape: GraphShape): Promise<Session> {
    const key = `${kind} ${inputs.kind} ${JSON.stringify(shape)}`;
    const { runtime } = this.#parts;
    return runtime.session(key, inputs.kind === 'images', () => graphFrom(inputs.kind, kind, runtime, shape));
  }

  /** A fresh AdamW over shared memory: moments do not outlive a round. */
  #optimizer(weights: ReadonlyMap<string, Tensor>, gradients: ReadonlyMap<string, Tensor>, proximalMu: number): Optimizer {
    const { config, runtime } = this.#parts;
    const { betas, epsilon, weightDecay, gradClipNorm } = config.optimizer;
    const values = [...weights.values()].reduce((sum, { data }) => sum + data.length, 0);
    return new Optimizer({
      rule: { kind: 'adamw', betas, epsilon, weightDecay },
      weights: Object.fromEntries([...weights].map(([name, tensor]) => [name, arrayOf(tensor)])),
      gradients: Object.fromEntries([...weights.keys()].map((name) => [name, arrayOf(gradients.get(gradientName(name))!)])),
      maxGradientNorm: gradClipNorm,
      threads: values < THREADED_FROM ? 1 : runtime.threads,
      ...(proximalMu === 0 ? {} : { proximal: { mu: proximalMu, reference: sharedCopies(weights) } }),
    });
  }

  /** Everything but the weights that one batch feeds, as far as it can be had without the processor's threads. */
  async #feeds(inputs: ModelInputs, frames: readonly number[], shape: GraphShape, seed: string): Promise<FeedsToCome> {
    const { config, binding } = this.#parts;
    const { chunkSize, maxActionDim } = config.model;
    const { noise, time } = drawFlowNoise(seed, shape.batch, chunkSize * maxActionDim);
    const vectors = binding.vectors(frames, shape.batch);
    const observed = await inputs.feeds(frames, shape);
    return async () => ({
      ...vectors,
      ...(await observed()),
      noise: float32Tensor(noise, [shape.batch, chunkSize, maxActionDim]),
      time: float32Tensor(time, [shape.batch]),
    });
  }
}

function checkInstructions({ localSteps, batchSize, learningRate, proximalMu }: FitInstructions): void {
  checkCounts({ localSteps, batchSize }, 1);
  if (!(learningRate > 0) || !Number.isFinite(learningRate)) throw new InvalidArgumentError(`learningRate ${learningRate} is not positive`);
  if (!(proximalMu >= 0) || !Number.isFinite(proximalMu)) throw new InvalidArgumentError(`proximalMu ${proximalMu} is negative or not finite`);
}

function checkCounts(counts: Readonly<Record<string, number>>, least: number): void {
  for (const [name, count] of Object.entries(counts)) {
    if (!Number.isSafeInteger(count) || count < least) {
      throw new InvalidArgumentError(`${name} ${count} is not a whole number of at least ${least}`);
    }
  }
}

function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted === true) throw new CancelledError(what, { cause: signal.reason });
}

/** What the proximal term pulls towards: the weights as they are now. */
function sharedCopies(weights: ReadonlyMap<string, Tensor>): Record<string, Float32Array> {
  return Object.fromEntries(
    [...weights].map(([name, tensor]) => {
      const copy = arrayOf(sharedTensor('float32', tensor.shape));
      copy.set(arrayOf(tensor));
      return [name, copy];
    }),
  );
}

function copyOut(weights: ReadonlyMap<string, Tensor>): Parameters {
  return new Map([...weights].map(([name, tensor]): [string, Float32Tensor] => [name, { shape: tensor.shape, data: arrayOf(tensor).slice() }]));
}

function arrayOf(tensor: Tensor): Float32Array {
  return tensor.data as Float32Array;
}
