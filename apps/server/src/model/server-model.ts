import {
  datasetProfile,
  loraOf,
  type ClientProfile,
  type Evaluation,
  type Learner,
  type Normalizer,
  type Parameters,
  type RobotDataset,
  type RunConfig,
  type RunContext,
  type WorkHooks,
  type Zk0Error,
} from '@zk0/core';
import { relaxGarbageCollection } from '@zk0/cli';
import { alignRecordings, alignToTarget, openDatasets, type AlignmentTarget } from '@zk0/dataset-so100';
import { describeDevice, openPolicy, type ParameterCount, type SmolVlaPolicy, type TrainingDefaults } from '@zk0/policy-smolvla';
import { readParameters } from '@zk0/storage';

type Features = RunContext['features'];

/** How the server runs its model. */
export interface ServerModelOptions {
  readonly device: string;
  /** Element type of matrix products, or `auto`. */
  readonly precision?: string;
  readonly threads?: number;
  readonly cacheDirectory: string;
  /** Sizes and cameras of a run that has started already. */
  readonly features?: Features;
  /** Where sizes and cameras come from when there is no held-out dataset. */
  readonly fallback?: ClientProfile['dataset'];
  /** What recordings are brought to in a run that has started already. */
  readonly alignment?: AlignmentTarget | undefined;
  /** Receives a line for each change that brings held-out datasets to common joints and units. */
  readonly onNote?: (note: string) => void;
  /** Called once for each frame of a held-out dataset that cannot be decoded and is skipped. */
  readonly onCorruptFrame: (dataset: string, frame: number, error: Zk0Error) => void;
}

/** The server's own copy of the model: initial parameters, evaluation on held-out datasets, checkpoints. */
export class ServerModel {
  readonly features: Features;
  /** Joint names, for people. */
  readonly robot: { readonly stateNames: readonly string[]; readonly actionNames: readonly string[] };
  readonly initialParameters: Parameters;
  readonly #policy: SmolVlaPolicy;
  readonly #heldOut: readonly RobotDataset[];
  readonly #threads: number | null;
  readonly #onCorruptFrame: ServerModelOptions['onCorruptFrame'];
  #learners: { readonly key: string; readonly learners: readonly Learner[] } | undefined;

  private constructor(parts: {
    readonly policy: SmolVlaPolicy;
    readonly initialParameters: Parameters;
    readonly features: Features;
    readonly robot: ServerModel['robot'];
    readonly heldOut: readonly RobotDataset[];
    readonly threads: number | undefined;
    readonly onCorruptFrame: ServerModelOptions['onCorruptFrame'];
  }) {
    this.#policy = parts.policy;
    this.initialParameters = parts.initialParameters;
    this.features = parts.features;
    this.robot = parts.robot;
    this.#heldOut = parts.heldOut;
    this.#threads = parts.threads ?? null;
    this.#onCorruptFrame = parts.onCorruptFrame;
  }

  /**
   * Opens the run's policy and its held-out datasets. Sizes and cameras come from the run, else from the first held-out
   * dataset, else from a client; so do the joints, their units and the frame rate that all held-out datasets are brought to.
   *
   * @throws DatasetError `DATASET_UNLIKE` for a held-out dataset that cannot be brought there; PolicyError `CAMERAS_MISMATCH`,
   *   `FEATURES_MISMATCH` for one that the policy cannot be evaluated on
   */
  static async open(config: RunConfig, options: ServerModelOptions): Promise<ServerModel> {
    const { device, precision = 'auto', threads, cacheDirectory, onCorruptFrame } = options;
    const { rename, units } = config;
    const heldOut: RobotDataset[] = await openDatasets(config.heldOut, { cacheDirectory, ...(rename && { rename }), ...(units && { units }) });
    let policy: SmolVlaPolicy | undefined;
    try {
      const shape = heldOut[0]?.info ?? options.fallback;
      const features = options.features ?? {
        stateSize: shape!.stateNames.length,
        actionSize: shape!.actionNames.length,
        cameras: shape!.cameras.map(({ key }) => key),
      };
      policy = await openPolicy(config.policy, {
        device,
        precision,
        cacheDirectory,
        features,
        lora: loraOf(config),
        ...(threads === undefined ? {} : { threads }),
      });
      relaxGarbageCollection(4 * policy.parameterCount.trained);
      const target = options.alignment ?? (heldOut[0] && alignRecordings(new Map(), datasetProfile(heldOut[0].info)).target);
      for (const [index, dataset] of target === undefined ? [] : heldOut.entries()) {
        policy.checkRecordings(dataset.info);
        const aligned = alignToTarget(dataset, target!, 'the run');
        for (const note of aligned.notes) options.onNote?.(`held out, ${note}`);
        heldOut[index] = aligned.dataset;
      }
      const robot = { stateNames: shape?.stateNames ?? [], actionNames: shape?.actionNames ?? [] };
      // A checkpoint decides its inputs; a preset takes them as they are found.
      const taken = policy.features ?? features;
      return new ServerModel({ policy, initialParameters: await policy.initialParameters(), features: { ...taken, cameras: [...taken.cameras] }, robot, heldOut, threads, onCorruptFrame });
    } catch (error) {
      await policy?.close();
      await Promise.all(heldOut.map((dataset) => dataset.close()));
      throw error;
    }
  }

  /** Descriptions of the held-out datasets. */
  get heldOut(): ClientProfile['dataset'][] {
    return this.#heldOut.map(({ info }) => datasetProfile(info));
  }

  /** Where clients find the policy: of one on the hub, its commit. */
  get policySource(): string {
    return this.#policy.source;
  }

  /** Where sizes and cameras come from: the checkpoint's own configuration, or what was found. */
  get featuresFrom(): string {
    return this.#policy.featuresFrom;
  }

  /** What it runs on, in a line for the log. */
  get device(): string {
    return describeDevice(this.#policy);
  }

  /**
   * Whether the run's policy can be trained on recordings.
   *
   * @throws PolicyError CAMERAS_MISMATCH, FEATURES_MISMATCH
   */
  checkRecordings(recordings: Pick<ClientProfile['dataset'], 'name' | 'stateNames' | 'actionNames' | 'cameras'>): void {
    this.#policy.checkRecordings(recordings);
  }

  /** What it runs on, for the record. `threads` is null where onnxruntime chooses. */
  get compute(): { readonly device: string; readonly precision: string; readonly threads: number | null } {
    const { device, precision } = this.#policy;
    return { device, precision, threads: this.#threads };
  }

  get baseHash(): string {
    return this.#policy.baseHash;
  }

  get trainingDefaults(): TrainingDefaults {
    return this.#policy.trainingDefaults;
  }

  /** Samples of a batch in evaluations: the policy's own, so that what a run trains with changes nothing about what it is measured with. */
  get evaluationBatchSize(): number {
    return this.#policy.trainingDefaults.batchSize;
  }

  /** Policy loss on every held-out dataset, with the same samples, noise and times every round. */
  async evaluate(parametersPath: string, normalizer: Normalizer, config: RunConfig, hooks: WorkHooks): Promise<Evaluation> {
    const parameters = await readParameters(parametersPath);
    const learners = await this.#learnersFor(normalizer);
    const datasets: Evaluation['datasets'] = [];
    for (const [index, learner] of learners.entries()) {
      const { info } = this.#heldOut[index]!;
      const { loss, numExamples, metrics } = await learner.evaluate(
        parameters,
        {
          seed: `${config.seed}/evaluate/${index}`,
          batches: config.evaluateBatches,
          batchSize: this.evaluationBatchSize,
        },
        hooks,
      );
      const { successful_batches: successfulBatches, total_batches: totalBatches, standard_error: standardError } = metrics;
      datasets.push({
        name: info.name,
        policyLoss: loss,
        samples: numExamples,
        actionDim: info.actionNames.length,
        ...(standardError !== undefined && { standardError }),
        ...(successfulBatches !== undefined && { successfulBatches }),
        ...(totalBatches !== undefined && { totalBatches }),
      });
    }
    const totalSamples = datasets.reduce((sum, { samples }) => sum + samples, 0);
    const policyLoss = datasets.reduce((sum, dataset) => sum + dataset.policyLoss * dataset.samples, 0) / totalSamples;
    const known = datasets.every(({ standardError }) => standardError !== undefined);
    const standardError = Math.sqrt(datasets.reduce((sum, one) => sum + ((one.standardError ?? 0) * one.samples) ** 2, 0)) / totalSamples;
    return { policyLoss, totalSamples, ...(known && { standardError }), datasets };
  }

  /** Writes a checkpoint; says how many numbers the whole model has. */
  async save(directory: string, parametersPath: string, normalizer: Normalizer, form: RunConfig['checkpointForm']): Promise<ParameterCount> {
    await this.#policy.saveCheckpoint(directory, await readParameters(parametersPath), { normalizer, form });
    return this.#policy.parameterCount;
  }

  async close(): Promise<void> {
    await this.#closeLearners();
    await this.#policy.close();
    await Promise.all(this.#heldOut.map((dataset) => dataset.close()));
  }

  async #learnersFor(normalizer: Normalizer): Promise<readonly Learner[]> {
    const key = JSON.stringify(normalizer);
    if (this.#learners?.key !== key) {
      await this.#closeLearners();
      const learners = this.#heldOut.map((dataset) =>
        this.#policy.learner(dataset, {
          normalizer,
          onCorruptFrame: (frame, error) => {
            this.#onCorruptFrame(dataset.info.name, frame, error);
          },
        }),
      );
      this.#learners = { key, learners };
    }
    return this.#learners.learners;
  }

  async #closeLearners(): Promise<void> {
    await Promise.all((this.#learners?.learners ?? []).map((learner) => learner.close()));
    this.#learners = undefined;
  }
}
