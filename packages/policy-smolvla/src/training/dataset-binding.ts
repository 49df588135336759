import type { Normalizer, RobotDataset, RobotDatasetInfo } from '@zk0/core';
import { boolTensor, float32Tensor, type Tensors } from '@zk0/onnx-train';
import type { SmolVlaConfig } from '../config/policy-config.ts';
import { PolicyError } from '../errors.ts';
import type { LearnerOptions, PolicyFeatures } from '../policy.ts';
import { matchCameras, type CameraBinding } from '../processing/cameras.ts';
import { VectorProcessor } from '../processing/normalize.ts';
import type { FrameView } from '../runtime/prefix-encoder.ts';
import type { TaskTokenizer, TokenizedTask } from '../tokenizer/tokenizer.ts';
import { UnreadableFrames } from './unreadable-frames.ts';

/** A dataset as one policy sees it: its cameras bound, its tasks tokenised, its vectors normalised. */
export class DatasetBinding {
  readonly dataset: RobotDataset;
  readonly cameras: CameraBinding;
  /** Frames that are skipped. */
  readonly unreadable: UnreadableFrames;
  /** The longest task's tokens: padding beyond them changes nothing and is left out. */
  readonly languageTokens: number;
  readonly #config: SmolVlaConfig;
  readonly #vectors: VectorProcessor;
  readonly #tokenizer: TaskTokenizer;
  readonly #tasks = new Map<string, TokenizedTask>();

  /** @throws PolicyError CAMERAS_MISMATCH, FEATURES_MISMATCH */
  constructor(
    dataset: RobotDataset,
    policy: {
      readonly config: SmolVlaConfig;
      readonly features: PolicyFeatures;
      readonly tokenizer: TaskTokenizer;
      readonly renameMap?: Readonly<Record<string, string>>;
    },
    normalizer: Normalizer,
    options: Pick<LearnerOptions, 'rename' | 'corruptFrames' | 'onCorruptFrame'>,
  ) {
    const { info } = dataset;
    checkSizes(policy.features, info);
    if (info.frameCount === 0 || info.tasks.length === 0) {
      throw new PolicyError('FEATURES_MISMATCH', `dataset ${info.name} has no frames or no task text`, {
        hint: 'Record at least one episode with a task.',
      });
    }
    this.dataset = dataset;
    this.cameras = matchCameras(
      { cameras: policy.features.cameras, emptyCameras: policy.config.emptyCameras, renameMap: policy.renameMap ?? {} },
      info,
      options.rename ?? {},
    );
    this.unreadable = new UnreadableFrames(info, options.corruptFrames, options.onCorruptFrame);
    this.#config = policy.config;
    this.#vectors = new VectorProcessor(policy.config, policy.features, normalizer);
    this.#tokenizer = policy.tokenizer;
    this.languageTokens = Math.max(...info.tasks.map((task) => this.#tokens(task).mask.reduce((sum, bit) => sum + bit, 0)));
  }

  /** The tokens of a frame's task. */
  task(frame: number): TokenizedTask {
    return this.#tokens(this.dataset.task(frame));
  }

  /**
   * Images and tasks of frames; null for one that cannot be decoded, which is `unreadable` from then on.
   *
   * @throws PolicyError CORRUPT_FRAMES
   */
  async views(frames: readonly number[]): Promise<readonly (FrameView | null)[]> {
    const decoded = await Promise.allSettled(frames.map((frame) => this.dataset.images(frame, this.cameras.datasetKeys)));
    return decoded.map((images, i): FrameView | null => {
      const frame = frames[i]!;
      if (images.status === 'fulfilled') return { images: images.value, task: this.task(frame) };
      this.unreadable.note(frame, images.reason);
      return null;
    });
  }

  /**
   * State, actions and padding flags of a batch. Rows behind the frames given, up to `batchSize`, repeat the last frame
   * with every action flagged as padding, so that they count for nothing.
   *
   * @throws PolicyError NOT_FINITE naming the frame and the axis.
   */
  vectors(frames: readonly number[], batchSize: number): Tensors {
    const { chunkSize, maxStateDim, maxActionDim } = this.#config.model;
    const state = new Float32Array(batchSize * maxStateDim);
    const actions = new Float32Array(batchSize * chunkSize * maxActionDim);
    const actionIsPad = new Uint8Array(batchSize * chunkSize).fill(1);
    for (let row = 0; row < batchSize; row++) {
      const frame = frames[Math.min(row, frames.length - 1)]!;
      const rawState = this.dataset.state(frame);
      const chunk = this.dataset.actionChunk(frame, chunkSize);
      this.#checkFinite('observation.state', rawState, frame, this.dataset.info.stateNames);
      this.#checkFinite('action', chunk.actions, frame, this.dataset.info.actionNames);
      this.#vectors.state(rawState, state.subarray(row * maxStateDim, (row + 1) * maxStateDim));
      const size = chunkSize * maxActionDim;
      this.#vectors.actions(chunk.actions, chunkSize, actions.subarray(row * size, (row + 1) * size));
      if (row < frames.length) actionIsPad.set(chunk.isPad, row * chunkSize);
    }
    return {
      state: float32Tensor(state, [batchSize, maxStateDim]),
      actions: float32Tensor(actions, [batchSize, chunkSize, maxActionDim]),
      actionIsPad: boolTensor(actionIsPad, [batchSize, chunkSize]),
    };
  }

  #tokens(task: string): TokenizedTask {
    let tokens = this.#tasks.get(task);
    if (tokens === undefined) {
      tokens = this.#tokenizer.encode(task);
      this.#tasks.set(task, tokens);
    }
    return tokens;
  }

  #checkFinite(feature: string, values: Float32Array, frame: number, names: readonly string[]): void {
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad < 0) return;
    const axis = names[bad % names.length]!;
    throw new PolicyError('NOT_FINITE', `dataset ${this.dataset.info.name}: ${feature} ${axis} is ${values[bad]!} at or after frame ${frame}`, {
      hint: 'Validate the dataset and remove the episode.',
    });
  }
}

/** @throws PolicyError FEATURES_MISMATCH */
export function checkSizes(features: PolicyFeatures, { name, stateNames, actionNames }: Pick<RobotDatasetInfo, 'name' | 'stateNames' | 'actionNames'>): void {
  if (stateNames.length === features.stateSize && actionNames.length === features.actionSize) return;
  throw new PolicyError(
    'FEATURES_MISMATCH',
    `dataset ${name} has ${stateNames.length} state and ${actionNames.length} action values, the policy ${features.stateSize} and ${features.actionSize}`,
    { hint: 'Use recordings of the robot that the policy is for.' },
  );
}
