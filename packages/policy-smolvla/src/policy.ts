import type { Learner, Normalizer, Parameters, RgbImage, RobotDataset, RobotDatasetInfo, TensorSpec, WorkHooks, Zk0Error } from '@zk0/core';
import type { HubOptions } from '@zk0/hub';
import type { SmolVlaConfig } from './config/policy-config.ts';
import type { TrainingMemory } from './cost/estimate-memory.ts';
import type { LoraSettings } from './model/config.ts';

/** What the policy sees and moves: sizes of the vectors, and cameras in the order the policy takes them. */
export interface PolicyFeatures {
  readonly stateSize: number;
  readonly actionSize: number;
  /** Feature names, e.g. `observation.images.top`. */
  readonly cameras: readonly string[];
}

/** How a policy is opened. */
export interface OpenPolicyOptions extends WorkHooks {
  /** How the hub is reached; default as the environment says (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_CACHE`, …). */
  readonly hub?: HubOptions;
  /** Execution provider: `auto` (default), `cpu`, `cuda`, `webgpu`, …; not there is an error, never a fallback. */
  readonly device?: string;
  /**
   * Element type of matrix products: `float32`, `float16`, `bfloat16`, or `auto` (default): float16 on CUDA, float32
   * elsewhere. Weights, moments, softmax, norms and the loss are float32 whatever it is. A device that lacks it is an error.
   */
  readonly precision?: string;
  /**
   * Where the optimiser runs: `host` over arrays beside the graph, `stepwise` in the graph with its state on the device, or
   * `loop` for many steps in one run. By default what suits the device: the processor, WebGPU, and CUDA, in this order.
   */
  readonly training?: 'host' | 'stepwise' | 'loop';
  /** Most steps of one run with `loop`; 64 when absent, fewer where their batches would take more than 1 GB. */
  readonly stepsPerRun?: number;
  /** Threads of the CPU provider; all cores when absent. */
  readonly threads?: number;
  /** Where generated presets and frozen-prefix caches live; `$ZK0_CACHE_DIR`, else `~/.cache/zk0`. */
  readonly cacheDirectory?: string;
  /**
   * The policy that has the frozen weights: for a directory of trained ones that does not name it. Of a whole checkpoint,
   * whose frozen weights must be the same, it is what `saveCheckpoint` names as the base.
   */
  readonly base?: string;
  /** Sizes and cameras of a policy whose config.json declares none, such as a preset. Others decide themselves. */
  readonly features?: PolicyFeatures;
  /**
   * Train low-rank factors of the expert's attention and of the heads (LoRA) in place of the expert's weights. The trained
   * parameters are then the adapted weights alone, and everything else belongs to the base.
   */
  readonly lora?: LoraSettings | undefined;
  /** Where a checkpoint holds the normalisation statistics of several data sets, the one to take. */
  readonly statistics?: string;
}

/** Training hyper-parameters that suit the policy; what a run uses where its configuration says nothing. */
export interface TrainingDefaults {
  readonly learningRate: number;
  readonly localSteps: number;
  readonly batchSize: number;
}

/**
 * How much frozen work is kept on disk: `prefix` = keys and values of every layer, `vision` = image tokens, `off` =
 * nothing; `auto` = the first of prefix and vision that fits the byte budget, else off.
 */
export type CacheMode = 'auto' | 'prefix' | 'vision' | 'off';

/** How a policy is bound to a dataset. */
export interface LearnerOptions {
  readonly normalizer: Normalizer;
  /** Dataset camera key → policy camera key. Every entry must name a camera of the dataset. */
  readonly rename?: Readonly<Record<string, string>>;
  /** Default `auto`. */
  readonly cache?: CacheMode;
  /** Most bytes of disk that this dataset's cache may take; default 20 GB. */
  readonly cacheBudgetBytes?: number;
  /**
   * Most frames that may be undecodable: each is skipped, and the next of the seeded order taken. Default 1 % of the
   * dataset's frames, at least one.
   */
  readonly corruptFrames?: number;
  /** Called once it is decided what is kept on disk: the tier, its bytes when every frame is there, and how many frames. */
  readonly onCache?: (cache: { readonly tier: 'prefix' | 'vision' | 'off'; readonly bytes: number; readonly frames: number }) => void;
  /** Called before the first training with batches of a size: what it takes of the device's memory, and in how many parts each batch is computed for that. */
  readonly onMemory?: (memory: TrainingMemory & { readonly batchSize: number; readonly parts: number }) => void;
  /** Called when the device's memory did not suffice for batches of this size: from here on each is computed in so many equal parts. */
  readonly onBatchParts?: (change: { readonly batchSize: number; readonly parts: number; readonly reason: string }) => void;
  /** Told of each of them once; the error names file and row or time. */
  readonly onCorruptFrame?: (frame: number, error: Zk0Error) => void;
}

/** One moment as the robot sees it. */
export interface Observation {
  /** Raw joint values, `stateSize` of them. */
  readonly state: Float32Array | readonly number[];
  /** Images by the policy's camera keys. */
  readonly images: Readonly<Record<string, RgbImage>>;
  /** What to do, as a person would say it. */
  readonly task: string;
}

/** Where a chunk's noise comes from: given (`chunkSize × maxActionDim` values), or drawn from a seed. */
export type ActOptions = { readonly noise: Float32Array } | { readonly seed: string };

/** One of several chunks that are predicted together. */
export interface ActRequest {
  readonly observation: Observation;
  readonly options: ActOptions;
}

/** A run of future actions, in the units of the recordings. */
export interface PredictedChunk {
  readonly chunkSize: number;
  readonly actionSize: number;
  /** `chunkSize × actionSize` values, row-major. */
  readonly actions: Float32Array;
}

/** The weights and normaliser that an {@link Actor} acts with; those of the checkpoint where absent. */
export interface ActorOptions {
  readonly parameters?: Parameters;
  readonly normalizer?: Normalizer;
}

/** A policy that acts with fixed weights. */
export interface Actor {
  /** How many actions of a chunk are meant to be carried out before the policy looks again (`n_action_steps`). */
  readonly actionSteps: number;
  /** Predicts the next `chunkSize` actions. The same noise or seed gives the same bytes. */
  act(observation: Observation, options: ActOptions): Promise<PredictedChunk>;
  /**
   * Predicts a chunk for each of several observations in one run of the model, which takes much less time than one run each. A
   * chunk's bytes do not depend on what else is predicted with it, and are not those of {@link act}, which differ by rounding. Values
   * may be NaN where the weights are damaged: nothing is thrown, for the other chunks are good.
   */
  actTogether(requests: readonly ActRequest[]): Promise<readonly PredictedChunk[]>;
  /**
   * The next single action: predicts a chunk when its queue is empty and hands out the first `nActionSteps` of it one by
   * one (LeRobot's `select_action`). `options` matter only on the calls that predict.
   */
  selectAction(observation: Observation, options: ActOptions): Promise<Float32Array>;
  /** Empties the queue; call it when an episode starts. */
  reset(): void;
  close(): Promise<void>;
}

/** How a checkpoint is written. */
export interface SaveCheckpointOptions {
  /** Statistics for the pre- and post-processor files; those the policy was opened with when absent. */
  readonly normalizer?: Normalizer;
  /**
   * `full` (default): a directory that LeRobot loads, frozen weights included. `trained`: the trained weights and the
   * base's hash alone; `openPolicy` joins it with its base.
   */
  readonly form?: 'full' | 'trained';
}

/** How many numbers a policy has. */
export interface ParameterCount {
  readonly total: number;
  readonly trained: number;
}

/** A SmolVLA policy: an architecture, frozen weights and a tokenizer, ready to be trained and to act. */
export interface SmolVlaPolicy {
  /** As given to `openPolicy`; of a policy on the hub, with the commit in place of the revision. */
  readonly source: string;
  /** The checkpoint directory that holds its files. */
  readonly directory: string;
  readonly config: SmolVlaConfig;
  /** The execution provider in use. */
  readonly device: string;
  /** The devices that `auto` tried before it, and why it did not take them. */
  readonly rejectedDevices: readonly { readonly device: string; readonly reason: string }[];
  /** Element type of matrix products. */
  readonly precision: string;
  /** Hex SHA-256 over architecture, frozen weights and tokenizer; features and trained weights do not enter it. */
  readonly baseHash: string;
  /** From config.json; of a policy that declares none from the options; `undefined` for a preset opened without them. */
  readonly features: PolicyFeatures | undefined;
  /** Who said what the policy takes: its own `config.json`, the `options`, or nobody yet. */
  readonly featuresFrom: 'config' | 'options' | 'nobody';
  /** Name of an observation as recorded → name that the policy takes, from its own processor; used where `rename` says nothing. */
  readonly renameMap: Readonly<Record<string, string>>;
  /**
   * Statistics found in the checkpoint; `undefined` where there are none.
   *
   * @throws PolicyError STATISTICS_AMBIGUOUS where there are some that are not understood
   */
  readonly normalizer: Normalizer | undefined;
  readonly trainingDefaults: TrainingDefaults;
  /** Trained tensors, all `F32`, in LeRobot's names, sorted by name. */
  readonly parameterSpecs: readonly TensorSpec[];
  readonly parameterCount: ParameterCount;
  /**
   * The checkpoint's trained weights, float32. The arrays are the caller's to keep.
   *
   * @throws PolicyError NOT_FINITE naming the tensor when the checkpoint holds NaN or infinity.
   */
  initialParameters(): Promise<Parameters>;
  /**
   * Binds the policy to a dataset.
   *
   * @throws PolicyError CAMERAS_MISMATCH, FEATURES_MISMATCH
   */
  learner(dataset: RobotDataset, options: LearnerOptions): Learner;
  /**
   * Whether the policy can be trained and evaluated on recordings: the sizes of their vectors, and a camera for each that it takes.
   *
   * @throws PolicyError CAMERAS_MISMATCH, FEATURES_MISMATCH
   */
  checkRecordings(recordings: Pick<RobotDatasetInfo, 'name' | 'stateNames' | 'actionNames' | 'cameras'>): void;
  /** Which of the task texts are longer than the model reads, in tokens, and how many of them it sees. */
  cutTasks(tasks: readonly string[]): readonly { readonly task: string; readonly tokens: number; readonly kept: number }[];
  /** An actor over these weights; the policy itself acts with the checkpoint's. */
  actor(options?: ActorOptions): Promise<Actor>;
  act(observation: Observation, options: ActOptions): Promise<PredictedChunk>;
  selectAction(observation: Observation, options: ActOptions): Promise<Float32Array>;
  /** Empties the queue of {@link selectAction}. */
  reset(): Promise<void>;
  /** Writes a checkpoint directory; nothing half-written is ever visible under its name. */
  saveCheckpoint(directory: string, parameters: Parameters, options?: SaveCheckpointOptions): Promise<void>;
  close(): Promise<void>;
}
