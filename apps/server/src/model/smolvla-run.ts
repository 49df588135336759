import { join } from 'node:path';
import { Zk0Error, type ClientProfile, type Evaluation, type JsonObject, type Parameters, type RunConfig, type RunState, type WorkHooks } from '@zk0/core';
import { alignRecording, alignRecordings, writeAlignmentTarget, type AlignmentTarget } from '@zk0/dataset-so100';
import { fitTaskSchema, type RegisteredClient, type RunModel, type TrainingDefaults } from '@zk0/federation';
import { writeDirectoryAtomic, writeFileAtomic } from '@zk0/storage';
import { createStrategy } from '@zk0/strategy';
import { renderLossChart } from '../outputs/charts/loss-chart.ts';
import { modelCard, roundRecords, runInfo, RunPaths } from '../outputs/index.ts';
import type { ServerModel } from './server-model.ts';
import { profileOf } from './smolvla-model.ts';
import { sameRecordings, startContext, startContextSchema } from './start-context.ts';

/** What a run is opened with. */
export interface SmolVlaRunOptions {
  readonly model: ServerModel;
  readonly config: RunConfig;
  /** Where the run's outputs go. */
  readonly directory: string;
  /** Of a run that has started. */
  readonly alignment: AlignmentTarget | undefined;
  readonly log: { info(message: string): void; warn(message: string): void };
}

/** One run's policy on the server: initial parameters, evaluation on held-out datasets, checkpoints with their model card. */
export class SmolVlaRun implements RunModel {
  readonly #model: ServerModel;
  readonly #config: RunConfig;
  readonly #paths: RunPaths;
  readonly #isPrivate: boolean;
  readonly #log: SmolVlaRunOptions['log'];
  /** Fixed when the run starts. */
  #alignment: AlignmentTarget | undefined;

  constructor({ model, config, directory, alignment, log }: SmolVlaRunOptions) {
    this.#model = model;
    this.#config = config;
    this.#paths = new RunPaths(directory);
    this.#alignment = alignment;
    this.#log = log;
    this.#isPrivate = createStrategy(config.strategy).isPrivate;
  }

  get trainingDefaults(): TrainingDefaults {
    return this.#model.trainingDefaults;
  }

  misfit(client: RegisteredClient, all: readonly RegisteredClient[]): string | null {
    const { dataset, private: isPrivate } = profileOf(client);
    if (this.#isPrivate && isPrivate !== true) return 'it joined with exact statistics of its recordings; private runs take clients that were started with --private';
    const { stateSize, actionSize } = this.#model.features;
    const [states, actions] = [dataset.stateNames.length, dataset.actionNames.length];
    if (states === stateSize && actions === actionSize) {
      const cameras = this.#cameraMisfit(dataset);
      if (cameras !== null) return cameras;
      const decision = alignRecording(dataset, this.#target(all));
      return decision.kind === 'ready' ? null : `${dataset.name}: ${decision.reason} ${decision.hint}`;
    }
    return `${dataset.name} has ${states} and ${actions}, this run's model takes ${stateSize} state values and ${actionSize} actions`;
  }

  /** Both sides' cameras and the likeliest renaming, where they do not match. */
  #cameraMisfit(dataset: ClientProfile['dataset']): string | null {
    try {
      this.#model.checkRecordings(dataset);
      return null;
    } catch (error) {
      if (error instanceof Zk0Error) return `${error.message}. ${error.hint ?? ''}`.trim();
      throw error;
    }
  }

  start(clients: readonly RegisteredClient[]): Promise<{ parameters: Parameters; context: JsonObject }> {
    const target = this.#target(clients);
    this.#alignment = target;
    for (const client of clients) {
      const decision = alignRecording(profileOf(client).dataset, target);
      if (decision.kind === 'ready') for (const note of decision.notes) this.#log.info(`client ${client.clientId}: ${note}`);
    }
    const profiled = clients.map((client) => ({ clientId: client.clientId, agent: client.agent, profile: profileOf(client) }));
    for (const { clients: ids, dataset } of sameRecordings(profiled)) {
      this.#log.warn(`clients ${ids.slice(0, 10).join(', ')} train on the same recordings (${dataset}): they count ${ids.length} times; give each client its own`);
    }
    const context = startContext(this.#model, this.#config, profiled, target);
    return Promise.resolve({ parameters: this.#model.initialParameters, context: JSON.parse(JSON.stringify(context)) as JsonObject });
  }

  /** What the client has to do with its recordings before it trains on them. */
  clientInstructions(client: RegisteredClient): JsonObject | undefined {
    if (this.#alignment === undefined) return undefined;
    const decision = alignRecording(profileOf(client).dataset, this.#alignment);
    if (decision.kind !== 'ready' || decision.alignment === null) return undefined;
    return { alignment: JSON.parse(JSON.stringify(decision.alignment)) as JsonObject };
  }

  async evaluate(path: string, _round: number, hooks: WorkHooks, state: RunState): Promise<Evaluation | null> {
    if (this.#config.heldOut.length === 0) return null;
    return this.#model.evaluate(path, startContextSchema.parse(state.context).run.normalizer, this.#config, hooks);
  }

  /** Writes `models/checkpoint_round_N`, whole or not at all. */
  saveCheckpoint(path: string, round: number, state: RunState, startedAt: Date): Promise<string> {
    return this.#save(this.#paths.checkpoint(round), path, round, state, startedAt, 'losses.png');
  }

  /** Writes `models/checkpoint_best` in place of the one before. */
  async saveBest(path: string, round: number, state: RunState, startedAt: Date): Promise<void> {
    await this.#save(this.#paths.bestCheckpoint, path, round, state, startedAt);
  }

  async #save(directory: string, path: string, round: number, state: RunState, startedAt: Date, chart?: string): Promise<string> {
    const { run, robot } = startContextSchema.parse(state.context);
    const { checkpointForm: form, policy, strategy, clientOptimizer } = this.#config;
    const rounds = roundRecords(state).filter((record) => record.round <= round);
    await writeDirectoryAtomic(directory, async (temporary) => {
      const parameters = await this.#model.save(temporary, path, run.normalizer, form);
      const [first] = state.rounds.at(-1)?.participants.values() ?? [];
      const training = fitTaskSchema.partial().safeParse(first?.instructions).data?.fit;
      const card = modelCard({
        run: runInfo(state, startedAt),
        rounds,
        basePolicy: policy,
        ...(chart !== undefined && { chart }),
        form,
        parameters,
        strategy: strategy.name,
        training:
          training === undefined
            ? {}
            : {
                'Local steps': training.localSteps,
                'Batch size': training.batchSize,
                'Learning rate': training.learningRate,
                'Proximal μ': training.proximalMu,
                'Client optimiser': clientOptimizer === 'keep' ? 'AdamW, moments kept from round to round' : 'AdamW, restarted in every round',
              },
        features: { ...robot, cameras: run.features.cameras },
      });
      if (this.#alignment !== undefined) await writeAlignmentTarget(temporary, this.#alignment);
      // Drawing takes a while: the best so far, which may change with every round, goes without.
      if (chart !== undefined) await writeFileAtomic(join(temporary, chart), await renderLossChart(rounds));
      await writeFileAtomic(join(temporary, 'README.md'), card);
      await writeFileAtomic(join(temporary, 'metrics.json'), `${JSON.stringify(rounds.at(-1) ?? null, null, 2)}\n`);
    });
    return directory;
  }

  close(): Promise<void> {
    return this.#model.close();
  }

  /** What all recordings are brought to: fixed with the start of the run, till then by what is held out, or by who is there. */
  #target(clients: readonly RegisteredClient[]): AlignmentTarget {
    if (this.#alignment !== undefined) return this.#alignment;
    const { stateSize, actionSize } = this.#model.features;
    const fitting = clients.map((client) => [client.clientId, profileOf(client).dataset] as const).filter(([, dataset]) => dataset.stateNames.length === stateSize && dataset.actionNames.length === actionSize);
    return alignRecordings(new Map(fitting), this.#model.heldOut[0]).target;
  }
}
