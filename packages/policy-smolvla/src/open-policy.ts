import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { elementCount, InvalidArgumentError, type Learner, type Normalizer, type Parameters, type RobotDataset, type RobotDatasetInfo, type TensorSpec } from '@zk0/core';
import { isHubAddress } from '@zk0/hub';
import { createActor } from './acting/actor.ts';
import { isStatistic } from './checkpoint/check-tensors.ts';
import { adapterBase, holdsAdapter, readAdapterConfig } from './checkpoint/adapter.ts';
import { openCheckpoint, type Checkpoint } from './checkpoint/checkpoint.ts';
import { fetchPolicy, type HubAccess, type HubFolder } from './checkpoint/hub-files.ts';
import { mergedAdapter, trainedParameters } from './checkpoint/merged-adapter.ts';
import { saveCheckpoint } from './checkpoint/save-checkpoint.ts';
import { baseMismatch, baseSourceOf, holdsTrainedOnly } from './checkpoint/trained-weights.ts';
import type { SmolVlaConfig } from './config/policy-config.ts';
import { PolicyError } from './errors.ts';
import { allFinite } from './model/finite.ts';
import { trainedWeightSpecs } from './model/weights.ts';
import type {
  ActOptions,
  Actor,
  ActorOptions,
  LearnerOptions,
  Observation,
  OpenPolicyOptions,
  ParameterCount,
  PolicyFeatures,
  PredictedChunk,
  SaveCheckpointOptions,
  SmolVlaPolicy,
  TrainingDefaults,
} from './policy.ts';
import { presetDirectory } from './preset/generate.ts';
import { PRESETS } from './preset/presets.ts';
import type { Preset } from './preset/small.ts';
import { configFeatures, matchCameras } from './processing/cameras.ts';
import { chooseDevice, chooseThreads } from './runtime/choose-device.ts';
import { choosePrecision, takesFloat16, trainingPlace } from './runtime/choose-precision.ts';
import { ModelRuntime } from './runtime/model-runtime.ts';
import { checkSizes, DatasetBinding } from './training/dataset-binding.ts';
import { createInputs, DEFAULT_CACHE_BUDGET_BYTES } from './training/create-inputs.ts';
import type { ModelInputs } from './training/model-inputs.ts';
import { SmolVlaLearner } from './training/learner.ts';

/** In the 20 rounds of a run by default that is 40 000 samples of each node, a thirtieth of what SmolVLA's recipe takes of 50 episodes. */
const CHECKPOINT_DEFAULTS = { localSteps: 250, batchSize: 8 };
/** Of the usual rate, of a checkpoint and of a preset; the latter was found with `small`, whose usual rate is high already. */
const LORA_RATES = { checkpoint: 10, preset: 3 };

/**
 * Opens a policy: a preset's name (`small`), a checkpoint directory (`path` or `local:path`), or `hf:owner/name[@revision]` on the hub.
 *
 * @throws PolicyError of nearly every code, HubError, SafetensorsError, StorageError: whatever is wrong with the files;
 *   SessionError DEVICE_UNAVAILABLE, PRECISION_UNAVAILABLE.
 */
export async function openPolicy(source: string, options: OpenPolicyOptions = {}): Promise<SmolVlaPolicy> {
  const { device, rejected } = await chooseDevice(options.device ?? 'auto');
  const precision = await choosePrecision(options.precision ?? 'auto', device);
  const threads = chooseThreads(options.threads);
  const cacheDirectory = options.cacheDirectory ?? process.env['ZK0_CACHE_DIR'] ?? join(homedir(), '.cache', 'zk0');
  const { own, base } = await locateBoth(source, cacheDirectory, options);
  const trainedOnly = await holdsTrainedOnly(own.directory);
  const checkpoint = await openCheckpoint(own.directory, trainedOnly ? base.directory : undefined, options);
  if (base.directory !== own.directory && !trainedOnly) await checkSameBase(checkpoint, base.directory, options);
  const preset = presetNamed(base.source);
  const runtime = new ModelRuntime(checkpoint.config.model, checkpoint.weights, {
    device,
    threads,
    precision,
    takesFloat16: await takesFloat16(device),
    training: options.training ?? trainingPlace(device),
    stepsPerRun: options.stepsPerRun,
  });
  return new LoadedPolicy({
    source: own.source,
    base: base.source,
    cacheDirectory,
    checkpoint,
    runtime,
    rejectedDevices: rejected,
    features: configFeatures(checkpoint.config) ?? options.features,
    trainingDefaults: defaultsFor(checkpoint.config, preset),
  });
}

/** A policy and its base, which is itself for a whole one. An adapter is merged into its base first. */
async function locateBoth(source: string, cacheDirectory: string, options: OpenPolicyOptions): Promise<{ readonly own: HubFolder; readonly base: HubFolder }> {
  const own = await locate(source, cacheDirectory, options);
  if (await holdsAdapter(own.directory)) {
    const adapter = await readAdapterConfig(own.directory);
    const base = await locate(options.base ?? (await adapterBase(own.directory, adapter)), cacheDirectory, options);
    return { own: { source: own.source, directory: await mergedAdapter(own.directory, adapter, base.directory, cacheDirectory, options) }, base };
  }
  const baseSource = options.base ?? ((await holdsTrainedOnly(own.directory)) ? await baseSourceOf(own.directory) : undefined);
  return { own, base: baseSource === undefined ? own : await locate(baseSource, cacheDirectory, options) };
}

function presetNamed(source: string): Preset | undefined {
  return Object.hasOwn(PRESETS, source) ? PRESETS[source] : undefined;
}

/** Has a policy's files on disk. */
async function locate(source: string, cacheDirectory: string, access: HubAccess): Promise<HubFolder> {
  const preset = presetNamed(source);
  if (preset !== undefined) return { source, directory: await presetDirectory(preset, cacheDirectory) };
  return isHubAddress(source) ? fetchPolicy(source, access) : { source, directory: resolve(source.replace(/^local:/, '')) };
}

/** A source that means the same on every machine. */
function portable(source: string): string | undefined {
  return presetNamed(source) !== undefined || isHubAddress(source) ? source : undefined;
}

/** @throws PolicyError POLICY_BASE_MISMATCH */
async function checkSameBase(checkpoint: Checkpoint, baseDirectory: string, access: HubAccess): Promise<void> {
  const { wholeBaseHash, weights } = await openCheckpoint(baseDirectory, undefined, access);
  await weights.close();
  if (wholeBaseHash === checkpoint.wholeBaseHash) return;
  await checkpoint.weights.close();
  throw baseMismatch(checkpoint.directory, checkpoint.wholeBaseHash, wholeBaseHash);
}

/** Factors want a higher rate than the weights themselves: LeRobot's guide to PEFT takes ten times that of its policy. */
function defaultsFor(config: SmolVlaConfig, preset: Preset | undefined): TrainingDefaults {
  const defaults = preset?.training ?? { learningRate: config.optimizer.learningRate, ...CHECKPOINT_DEFAULTS };
  const scale = config.model.lora === undefined ? 1 : LORA_RATES[preset === undefined ? 'checkpoint' : 'preset'];
  return { ...defaults, learningRate: scale * defaults.learningRate };
}

interface LoadedParts {
  readonly source: string;
  /** Where the frozen weights come from. */
  readonly base: string;
  readonly cacheDirectory: string;
  readonly checkpoint: Checkpoint;
  readonly runtime: ModelRuntime;
  readonly rejectedDevices: SmolVlaPolicy['rejectedDevices'];
  readonly features: PolicyFeatures | undefined;
  readonly trainingDefaults: TrainingDefaults;
}

class LoadedPolicy implements SmolVlaPolicy {
  readonly source: string;
  readonly directory: string;
  readonly config: SmolVlaConfig;
  readonly device: string;
  readonly precision: string;
  readonly rejectedDevices: SmolVlaPolicy['rejectedDevices'];
  readonly baseHash: string;
  readonly features: PolicyFeatures | undefined;
  readonly featuresFrom: SmolVlaPolicy['featuresFrom'];
  readonly renameMap: Readonly<Record<string, string>>;
  readonly trainingDefaults: TrainingDefaults;
  readonly parameterSpecs: readonly TensorSpec[];
  readonly parameterCount: ParameterCount;
  readonly #parts: LoadedParts;
  #actor: Promise<Actor> | undefined;

  constructor(parts: LoadedParts) {
    const { checkpoint, runtime } = parts;
    this.#parts = parts;
    this.source = parts.source;
    this.directory = checkpoint.directory;
    this.config = checkpoint.config;
    this.device = runtime.device;
    this.precision = runtime.precision;
    this.rejectedDevices = parts.rejectedDevices;
    this.baseHash = checkpoint.baseHash;
    this.features = parts.features;
    const declared = configFeatures(checkpoint.config) === undefined ? 'options' : 'config';
    this.featuresFrom = parts.features === undefined ? 'nobody' : declared;
    this.renameMap = checkpoint.renameMap;
    this.trainingDefaults = parts.trainingDefaults;
    this.parameterSpecs = trainedWeightSpecs(checkpoint.config.model)
      .map(({ name, dtype, shape }) => ({ name, dtype, shape }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    this.parameterCount = {
      total: countElements(checkpoint.weights.specs.filter(({ name }) => !isStatistic(name))),
      trained: countElements(this.parameterSpecs),
    };
  }

  get normalizer(): Normalizer | undefined {
    const { normalizer, statisticsProblem } = this.#parts.checkpoint;
    if (statisticsProblem !== undefined) throw statisticsProblem;
    return normalizer;
  }

  async initialParameters(): Promise<Parameters> {
    const parameters = await trainedParameters(this.#parts.checkpoint);
    for (const [name, { data }] of parameters) {
      if (allFinite(data)) continue;
      throw new PolicyError('NOT_FINITE', `${this.directory}: tensor ${name} holds NaN or infinity`, {
        hint: 'Its training has diverged: take an earlier checkpoint.',
      });
    }
    return parameters;
  }

  learner(dataset: RobotDataset, options: LearnerOptions): Learner {
    const { checkpoint, runtime, cacheDirectory } = this.#parts;
    const features = this.#needFeatures();
    const { config, tokenizer } = checkpoint;
    const binding = new DatasetBinding(dataset, { config, features, tokenizer, renameMap: this.renameMap }, options.normalizer, options);
    const { cache = 'auto', cacheBudgetBytes = DEFAULT_CACHE_BUDGET_BYTES, onCache, onMemory, onBatchParts } = options;
    const inputs = (): Promise<ModelInputs> =>
      createInputs(binding, runtime, { cache, cacheBudgetBytes, cacheDirectory, baseHash: checkpoint.baseHash, onCache });
    return new SmolVlaLearner({ config, runtime, binding, inputs, actionSize: features.actionSize, memory: { onMemory, onBatchParts } });
  }

  checkRecordings(recordings: Pick<RobotDatasetInfo, 'name' | 'stateNames' | 'actionNames' | 'cameras'>): void {
    const features = this.#needFeatures();
    checkSizes(features, recordings);
    matchCameras({ cameras: features.cameras, emptyCameras: this.config.emptyCameras, renameMap: this.renameMap }, recordings, {});
  }

  cutTasks(tasks: readonly string[]): readonly { readonly task: string; readonly tokens: number; readonly kept: number }[] {
    const { tokenizer } = this.#parts.checkpoint;
    return tasks.flatMap((task) => {
      const cut = tokenizer.cutOf(task);
      return cut === null ? [] : [{ task, ...cut }];
    });
  }

  async actor({ parameters, normalizer = this.normalizer }: ActorOptions = {}): Promise<Actor> {
    const { checkpoint, runtime } = this.#parts;
    return createActor({
      checkpoint,
      runtime,
      features: this.#needFeatures(),
      normalizer: this.#needNormalizer(normalizer),
      parameters: parameters ?? (await this.initialParameters()),
    });
  }

  async act(observation: Observation, options: ActOptions): Promise<PredictedChunk> {
    return (await this.#ownActor()).act(observation, options);
  }

  async selectAction(observation: Observation, options: ActOptions): Promise<Float32Array> {
    return (await this.#ownActor()).selectAction(observation, options);
  }

  async reset(): Promise<void> {
    (await this.#actor)?.reset();
  }

  async saveCheckpoint(directory: string, parameters: Parameters, options: SaveCheckpointOptions = {}): Promise<void> {
    await saveCheckpoint(this.#parts.checkpoint, directory, parameters, {
      features: this.#needFeatures(),
      normalizer: this.#needNormalizer(options.normalizer ?? this.normalizer),
      form: options.form ?? 'full',
      baseSource: portable(this.#parts.base),
    });
  }

  async close(): Promise<void> {
    await (await this.#actor)?.close();
    await this.#parts.runtime.close();
    await this.#parts.checkpoint.weights.close();
  }

  #ownActor(): Promise<Actor> {
    this.#actor ??= this.actor();
    this.#actor.catch(() => (this.#actor = undefined));
    return this.#actor;
  }

  #needFeatures(): PolicyFeatures {
    if (this.features !== undefined) return this.features;
    throw new InvalidArgumentError(`policy ${this.source} names no state, action and cameras`, {
      hint: 'Open it with `features`: the sizes of state and action and the cameras in order.',
    });
  }

  #needNormalizer(normalizer: Normalizer | undefined): Normalizer {
    if (normalizer !== undefined) return normalizer;
    throw new PolicyError('FEATURES_MISMATCH', `policy ${this.source} carries no normalisation statistics`, {
      hint: 'Give a normalizer, made from the moments of the recordings.',
    });
  }
}

function countElements(specs: readonly TensorSpec[]): number {
  return specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}
