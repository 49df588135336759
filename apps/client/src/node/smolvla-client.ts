import {
  datasetProfile,
  runContextSchema,
  Zk0Error,
  type FitInstructions,
  type FitOptions,
  type FitResult,
  type JsonObject,
  type Learner,
  type Parameters,
  type RobotDataset,
  type RunContext,
  type WorkHooks,
} from '@zk0/core';
import type { LocalModel, LocalTask } from '@zk0/federation';
import { alignedDataset, augmentedDataset, type Alignment } from '@zk0/dataset-so100';
import { publicMoments } from '@zk0/strategy';
import { relaxGarbageCollection } from '@zk0/cli';
import * as z from 'zod';
import { openPolicy, type CacheMode, type LearnerOptions, type SmolVlaPolicy } from '@zk0/policy-smolvla';

/** How a node runs its model. */
export interface SmolVlaClientOptions {
  readonly dataset: RobotDataset;
  readonly device: string;
  /** Say nothing of the recordings' values: what private runs (dp-*) ask for. */
  readonly private?: boolean;
  /** Element type of matrix products, or `auto`. */
  readonly precision: string;
  /** CPU threads; the whole machine when absent. */
  readonly threads?: number;
  readonly cache: CacheMode;
  readonly cacheBudgetBytes: number;
  readonly cacheDirectory: string;
  /** Most frames that may be undecodable and are skipped; the policy's default when absent. */
  readonly corruptFrames?: number;
  /** Told once of each of them. */
  readonly onCorruptFrame?: (frame: number, error: Zk0Error) => void;
  /** The policy to use instead of the one the server names; it must hold the same base. */
  readonly policyOverride?: string;
  /** Told once of what a dataset's training keeps on disk: the tier, its bytes when every frame is there, how many frames. */
  readonly onCache?: NonNullable<LearnerOptions['onCache']>;
  /** What training needs of the device's memory. */
  readonly onMemory?: NonNullable<LearnerOptions['onMemory']>;
  /** The device's memory did not suffice for whole batches. */
  readonly onBatchParts?: NonNullable<LearnerOptions['onBatchParts']>;
  /** Called whenever a policy has been opened, with the instructions of the first round that it will train. */
  readonly onPolicy?: (policy: SmolVlaPolicy, fit: FitInstructions) => void | Promise<void>;
}

const numbers = z.array(z.number()).max(256);
const vectorAlignment = z.strictObject({ order: z.array(z.int().min(0)).max(256), scale: numbers, offset: numbers });
const names = z.array(z.string().max(200)).max(256);
const conventions = z.array(z.looseObject({ unit: z.string().max(50), confidence: z.number() })).max(256);
/** What the server may say to one client: joints in another order, values in other units. */
const clientInstructionsSchema = z.strictObject({
  alignment: z.strictObject({
    state: vectorAlignment,
    action: vectorAlignment,
    stateNames: names,
    actionNames: names,
    joints: z.strictObject({ state: conventions, action: conventions }),
  }),
});

/** Presets and repositories of the hub: what a server may name. A path of this machine it may not. */
const NAMED_BY_SERVER = /^(?:hf:.+|[a-z][a-z0-9-]*)$/;

/** SmolVLA on this node's recordings. Policy and learner stay ready between rounds; a run with another context gets new ones. */
export class SmolVlaClient implements LocalModel {
  readonly #options: SmolVlaClientOptions;
  #current: { readonly key: string; readonly policy: SmolVlaPolicy; readonly learner: Learner } | undefined;

  constructor(options: SmolVlaClientOptions) {
    this.#options = options;
  }

  profile(): JsonObject {
    const { dataset, device } = this.#options;
    const profile = datasetProfile(dataset.info);
    if (this.#options.private !== true) return JSON.parse(JSON.stringify({ dataset: profile, device })) as JsonObject;
    const moments = { state: publicMoments(profile.stateNames.map(jointRange)), action: publicMoments(profile.actionNames.map(jointRange)) };
    return JSON.parse(JSON.stringify({ dataset: { ...profile, moments }, device, private: true })) as JsonObject;
  }

  /** Trains as one task says. */
  async fit(task: LocalTask, global: Parameters, options: FitOptions): Promise<FitResult> {
    const context = runContextSchema.safeParse(task.context);
    if (!context.success) {
      throw new Zk0Error('TASK_UNKNOWN', 'the server describes its policy in a way that this client cannot read', {
        hint: 'Run the same zk0 release on both sides.',
      });
    }
    const learner = await this.#learner(context.data, this.#alignmentOf(task), task.fit, options);
    const result = await learner.fit(global, task.fit, options);
    // Variants of a frame are not more recordings.
    const { frameCount } = this.#options.dataset.info;
    return context.data.augment === undefined ? result : { ...result, numExamples: frameCount, metrics: { ...result.metrics, num_examples: frameCount } };
  }

  async close(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    await current?.learner.close();
    await current?.policy.close();
  }

  /** What the server asks to do with the recordings first. */
  #alignmentOf({ client }: LocalTask): Alignment | null {
    if (client === undefined) return null;
    const parsed = clientInstructionsSchema.safeParse(client);
    const { stateNames, actionNames } = this.#options.dataset.info;
    const fits = ({ order, scale, offset }: Alignment['state'], size: number): boolean =>
      [order, scale, offset].every(({ length }) => length === size) && [...order].sort((a, b) => a - b).every((from, index) => from === index);
    if (parsed.success && fits(parsed.data.alignment.state, stateNames.length) && fits(parsed.data.alignment.action, actionNames.length)) {
      return parsed.data.alignment as Alignment;
    }
    throw new Zk0Error('TASK_UNKNOWN', 'the server asks for a change of the recordings that this client cannot make', {
      hint: 'Run the same zk0 release on both sides.',
    });
  }

  async #learner(context: RunContext, alignment: Alignment | null, fit: FitInstructions, hooks: WorkHooks): Promise<Learner> {
    const key = JSON.stringify([context, alignment]);
    if (this.#current?.key === key) return this.#current.learner;
    await this.close();
    const { policyOverride, corruptFrames, onCorruptFrame, onCache, onMemory, onBatchParts } = this.#options;
    const recorded = alignedDataset(this.#options.dataset, alignment);
    const { augment } = context;
    const dataset = augment === undefined ? recorded : augmentedDataset(recorded, augment.config, augment.seed);
    this.#checkFeatures(context);
    const source = policyOverride ?? namedByServer(context.policy.source);
    const policy = await openPolicy(source, {
      ...hooks,
      device: this.#options.device,
      precision: this.#options.precision,
      ...(this.#options.threads === undefined ? {} : { threads: this.#options.threads }),
      cacheDirectory: this.#options.cacheDirectory,
      features: context.features,
      lora: context.policy.lora,
    });
    relaxGarbageCollection(4 * policy.parameterCount.trained);
    try {
      await this.#options.onPolicy?.(policy, fit);
      if (policy.baseHash !== context.policy.baseHash) {
        throw new Zk0Error('BASE_MISMATCH', `policy ${source}: its frozen weights are not those of the server`, {
          hint: 'Use the same zk0 release and the same policy as the server (or drop --policy).',
        });
      }
      const learner = policy.learner(dataset, {
        normalizer: context.normalizer,
        cache: this.#options.cache,
        cacheBudgetBytes: this.#options.cacheBudgetBytes,
        ...(corruptFrames === undefined ? {} : { corruptFrames }),
        ...(onCorruptFrame === undefined ? {} : { onCorruptFrame }),
        ...(onCache === undefined ? {} : { onCache }),
        ...(onMemory === undefined ? {} : { onMemory }),
        ...(onBatchParts === undefined ? {} : { onBatchParts }),
      });
      this.#current = { key, policy, learner };
      return learner;
    } catch (error) {
      await policy.close();
      throw error;
    }
  }

  #checkFeatures({ features }: RunContext): void {
    const { info } = this.#options.dataset;
    if (info.stateNames.length !== features.stateSize || info.actionNames.length !== features.actionSize) {
      throw new Zk0Error(
        'FEATURES_MISMATCH',
        `dataset ${info.name} has ${info.stateNames.length} state and ${info.actionNames.length} action values, the run ` +
          `uses ${features.stateSize} and ${features.actionSize}`,
        { hint: 'Join a run for this robot, or record with the robot that the run is for.' },
      );
    }
  }
}

/** What a joint of these arms can have, in the units in which LeRobot records it: degrees, the gripper 0 … 100. */
function jointRange(name: string): { readonly low: number; readonly high: number } {
  return name.includes('gripper') ? { low: 0, high: 100 } : { low: -180, high: 180 };
}

function namedByServer(source: string): string {
  if (NAMED_BY_SERVER.test(source)) return source;
  throw new Zk0Error('POLICY_NOT_NAMED', 'the server names its policy by a path of its own machine', {
    hint: 'Give this client a copy with --policy.',
  });
}
