import { deriveSeed, InvalidArgumentError, Random, type Normalizer, type Parameters } from '@zk0/core';
import { float32Tensor, type Tensors } from '@zk0/onnx-train';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { checkParameters } from '../checkpoint/save-checkpoint.ts';
import { PolicyError } from '../errors.ts';
import { buildFullSampleGraph, buildSampleGraph } from '../model/graphs.ts';
import type { GraphShape } from '../model/graph-shape.ts';
import { trainedWeightSpecs } from '../model/weights.ts';
import type { ActOptions, Actor, Observation, PolicyFeatures, PredictedChunk } from '../policy.ts';
import { VectorProcessor } from '../processing/normalize.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';
import { sharedWeights } from '../runtime/shared-weights.ts';
import type { WeightedSession } from '../runtime/weighted-session.ts';
import { PrefixEncoder, type FrameView } from '../runtime/prefix-encoder.ts';

/** What an actor is made of. */
export interface ActorParts {
  readonly checkpoint: Pick<Checkpoint, 'config' | 'tokenizer'>;
  readonly runtime: ModelRuntime;
  readonly features: PolicyFeatures;
  readonly normalizer: Normalizer;
  readonly parameters: Parameters;
}

/**
 * An actor over fixed weights.
 *
 * @throws PolicyError POLICY_TENSORS_MISMATCH, FEATURES_MISMATCH
 */
export function createActor(parts: ActorParts): Actor {
  checkParameters(parts.checkpoint, parts.parameters);
  return new SmolVlaActor(parts);
}

class SmolVlaActor implements Actor {
  /** Without the parameters, of which the weights are a copy. */
  readonly #parts: Omit<ActorParts, 'parameters'>;
  readonly #vectors: VectorProcessor;
  readonly #weights: Tensors;
  /** Actions predicted and not yet handed out. */
  #queue: Float32Array[] = [];

  constructor({ parameters, ...parts }: ActorParts) {
    const { checkpoint, features, normalizer } = parts;
    this.#parts = parts;
    this.#vectors = new VectorProcessor(checkpoint.config, features, normalizer);
    this.#weights = Object.fromEntries(sharedWeights(trainedWeightSpecs(checkpoint.config.model), parameters));
  }

  async act(observation: Observation, options: ActOptions): Promise<PredictedChunk> {
    const { runtime, features, checkpoint } = this.#parts;
    const { chunkSize, maxStateDim, maxActionDim } = runtime.config;
    const view = this.#view(observation);
    const shape: GraphShape = {
      batch: 1,
      cameras: view.images.length,
      emptyCameras: checkpoint.config.emptyCameras,
      languageTokens: checkpoint.config.tokenizerMaxLength,
      actionSize: features.actionSize,
    };
    const { model, feeds } = await this.#observe(shape, view);
    const { actions } = await model.run(this.#weights, {
      ...feeds,
      state: float32Tensor(this.#state(observation), [1, maxStateDim]),
      noise: float32Tensor(noiseOf(options, chunkSize * maxActionDim), [1, chunkSize, maxActionDim]),
    });
    const predicted = this.#vectors.unnormalizeActions(actions!.data as Float32Array, chunkSize);
    if (!predicted.every(Number.isFinite)) {
      throw new PolicyError('NOT_FINITE', 'the predicted actions are not finite', {
        hint: 'The weights are damaged or training has diverged; use another checkpoint.',
      });
    }
    return { chunkSize, actionSize: features.actionSize, actions: predicted };
  }

  async selectAction(observation: Observation, options: ActOptions): Promise<Float32Array> {
    if (this.#queue.length === 0) {
      const { actions, actionSize } = await this.act(observation, options);
      const { nActionSteps } = this.#parts.checkpoint.config;
      this.#queue = Array.from({ length: nActionSteps }, (_, step) => actions.slice(step * actionSize, (step + 1) * actionSize));
    }
    return this.#queue.shift()!;
  }

  reset(): void {
    this.#queue = [];
  }

  close(): Promise<void> {
    this.#queue = [];
    return Promise.resolve();
  }

  /** The sampling session and what it takes of images and task: image tokens, or the images where their encoder is trained. */
  async #observe(shape: GraphShape, view: FrameView): Promise<{ readonly model: WeightedSession; readonly feeds: Tensors }> {
    const { runtime } = this.#parts;
    const { config, precision: products } = runtime;
    const encoder = new PrefixEncoder(runtime, shape);
    // The trained weights are fed, so that one session serves every actor of the policy.
    const model = await runtime.weighted(`sample ${JSON.stringify(shape)}`, !config.trainExpertOnly, () =>
      config.trainExpertOnly
        ? buildSampleGraph(config, shape, this.#frozenOnly(), { fromTokens: true, products })
        : buildFullSampleGraph(config, shape, this.#frozenOnly(), { products }),
    );
    const feeds = config.trainExpertOnly
      ? encoder.tokenFeeds(await encoder.imageTokens([view.images]), [view.task])
      : encoder.imageFeeds([view]);
    return { model, feeds };
  }

  #frozenOnly(): ModelRuntime['weights'] {
    const { weights } = this.#parts.runtime;
    return (name) => (Object.hasOwn(this.#weights, name) ? undefined : weights(name));
  }

  #view({ images, task }: Observation): FrameView {
    const { features, checkpoint } = this.#parts;
    const given = Object.keys(images);
    const strangers = given.filter((key) => !features.cameras.includes(key));
    const present = features.cameras.filter((key) => given.includes(key));
    const missing = features.cameras.length - present.length;
    if (strangers.length > 0 || present.length === 0 || missing > checkpoint.config.emptyCameras) {
      throw new PolicyError(
        'CAMERAS_MISMATCH',
        `policy takes [${features.cameras.join(', ')}], the observation has [${given.join(', ') || 'no images'}]`,
        { hint: "Give one image for each of the policy's cameras, under its name." },
      );
    }
    for (const key of present) {
      const { width, height, data } = images[key]!;
      if (data.length === width * height * 3 && data.length > 0) continue;
      throw new InvalidArgumentError(`image ${key}: ${data.length} bytes for ${width}×${height} RGB pixels`);
    }
    return { images: present.map((key) => images[key]!), task: checkpoint.tokenizer.encode(task) };
  }

  #state({ state }: Observation): Float32Array {
    const { features, runtime } = this.#parts;
    if (state.length !== features.stateSize) {
      throw new PolicyError('FEATURES_MISMATCH', `the observation has ${state.length} state values, the policy takes ${features.stateSize}`);
    }
    const raw = Float32Array.from(state);
    const bad = raw.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new PolicyError('NOT_FINITE', `state value ${bad} of the observation is ${raw[bad]!}`);
    const padded = new Float32Array(runtime.config.maxStateDim);
    this.#vectors.state(raw, padded);
    return padded;
  }
}

function noiseOf(options: ActOptions, length: number): Float32Array {
  if ('seed' in options) return new Random(deriveSeed(options.seed, 'act')).fillNormal(new Float32Array(length));
  if (options.noise.length === length) return options.noise;
  throw new InvalidArgumentError(`noise has ${options.noise.length} values, a chunk needs ${length}`);
}
