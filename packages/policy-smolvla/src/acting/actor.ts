import { deriveSeed, InvalidArgumentError, Random, type Normalizer, type Parameters } from '@zk0/core';
import { float32Tensor, type Tensors } from '@zk0/onnx-train';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { checkParameters } from '../checkpoint/save-checkpoint.ts';
import { PolicyError } from '../errors.ts';
import { buildFullSampleGraph, buildSampleGraph } from '../model/graphs.ts';
import type { GraphShape } from '../model/graph-shape.ts';
import { trainedWeightSpecs } from '../model/weights.ts';
import type { ActOptions, Actor, ActRequest, Observation, PolicyFeatures, PredictedChunk } from '../policy.ts';
import { VectorProcessor } from '../processing/normalize.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';
import { sharedWeights } from '../runtime/shared-weights.ts';
import type { WeightedSession } from '../runtime/weighted-session.ts';
import { PrefixEncoder, type FrameView } from '../runtime/prefix-encoder.ts';

/** Several chunks are predicted in batches of a multiple of this: few sizes, each of which is a session of its own. */
const BATCH_STEP = 8;

/** Tasks are padded to a multiple of this many tokens. */
const LANGUAGE_STEP = 8;

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

  get actionSteps(): number {
    return this.#parts.checkpoint.config.nActionSteps;
  }

  async act(observation: Observation, options: ActOptions): Promise<PredictedChunk> {
    const [chunk] = await this.#predict([{ observation, options }], 1);
    if (!chunk!.actions.every(Number.isFinite)) {
      throw new PolicyError('NOT_FINITE', 'the predicted actions are not finite', {
        hint: 'The weights are damaged or training has diverged; use another checkpoint.',
      });
    }
    return chunk!;
  }

  async actTogether(requests: readonly ActRequest[]): Promise<readonly PredictedChunk[]> {
    return requests.length === 0 ? [] : this.#predict(requests, Math.ceil(requests.length / BATCH_STEP) * BATCH_STEP);
  }

  /**
   * Chunks of the requests, which fill the first rows of a batch; the others repeat the last, or are empty.
   *
   * @throws PolicyError CAMERAS_MISMATCH where they have different numbers of cameras
   */
  async #predict(requests: readonly ActRequest[], batch: number): Promise<readonly PredictedChunk[]> {
    const { runtime, features, checkpoint } = this.#parts;
    const { actionSize } = features;
    const { chunkSize, maxStateDim, maxActionDim } = runtime.config;
    const views = requests.map(({ observation }) => this.#view(observation));
    const cameras = views[0]!.images.length;
    const other = views.find(({ images }) => images.length !== cameras);
    if (other !== undefined) {
      throw new PolicyError('CAMERAS_MISMATCH', `observations of ${cameras} and of ${other.images.length} cameras cannot be acted on together`, {
        hint: 'Give all of them the same cameras.',
      });
    }
    const { emptyCameras } = checkpoint.config;
    const languageTokens = languageLength(views, checkpoint.config.tokenizerMaxLength);
    const { model, feeds } = await this.#observe({ batch, cameras, emptyCameras, languageTokens, actionSize }, views);
    const state = float32Tensor(new Float32Array(batch * maxStateDim), [batch, maxStateDim]);
    const noise = float32Tensor(new Float32Array(batch * chunkSize * maxActionDim), [batch, chunkSize, maxActionDim]);
    requests.forEach(({ observation, options }, row) => {
      (state.data as Float32Array).set(this.#state(observation), row * maxStateDim);
      (noise.data as Float32Array).set(noiseOf(options, chunkSize * maxActionDim), row * chunkSize * maxActionDim);
    });
    const { actions } = await model.run(this.#weights, { ...feeds, state, noise });
    return requests.map((_, row) => {
      const own = (actions!.data as Float32Array).subarray(row * chunkSize * maxActionDim, (row + 1) * chunkSize * maxActionDim);
      return { chunkSize, actionSize, actions: this.#vectors.unnormalizeActions(own, chunkSize) };
    });
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

  /** The sampling session and what it takes of images and tasks: image tokens, or the images where their encoder is trained. */
  async #observe(shape: GraphShape, views: readonly FrameView[]): Promise<{ readonly model: WeightedSession; readonly feeds: Tensors }> {
    const { runtime } = this.#parts;
    const { config, precision: products } = runtime;
    const encoder = new PrefixEncoder(runtime, shape);
    // The trained weights are fed, so that one session serves every actor of the policy.
    const model = await runtime.weighted(`sample ${JSON.stringify(shape)}`, !config.trainExpertOnly, () =>
      config.trainExpertOnly
        ? buildSampleGraph(config, shape, this.#frozenOnly(), { fromTokens: true, products })
        : buildFullSampleGraph(config, shape, this.#frozenOnly(), { products }),
    );
    const rows = Array.from({ length: shape.batch }, (_, row) => views[row] ?? views.at(-1)!);
    if (!config.trainExpertOnly) return { model, feeds: encoder.imageFeeds(rows) };
    const seen = await encoder.imageTokens(views.map(({ images }) => images));
    const tokens = new Float32Array(shape.batch * (seen.length / views.length));
    tokens.set(seen);
    return { model, feeds: encoder.tokenFeeds(tokens, rows.map(({ task }) => task)) };
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

/** Tokens that the tasks are padded to, in few sizes, each of which is a session of its own: padding behind the longest changes nothing. */
function languageLength(views: readonly FrameView[], most: number): number {
  const longest = Math.max(...views.map(({ task }) => task.mask.reduce((sum, bit) => sum + bit, 0)));
  return Math.min(most, Math.ceil(longest / LANGUAGE_STEP) * LANGUAGE_STEP);
}

function noiseOf(options: ActOptions, length: number): Float32Array {
  if ('seed' in options) return new Random(deriveSeed(options.seed, 'act')).fillNormal(new Float32Array(length));
  if (options.noise.length === length) return options.noise;
  throw new InvalidArgumentError(`noise has ${options.noise.length} values, a chunk needs ${length}`);
}
