import { join } from 'node:path';
import type { Evaluation, JsonObject, Parameters, RunConfig, RunState, WorkHooks } from '@zk0/core';
import { fitTaskSchema, type RegisteredClient, type RunModel, type TrainingDefaults } from '@zk0/federation';
import { writeDirectoryAtomic, writeFileAtomic } from '@zk0/storage';
import { createStrategy } from '@zk0/strategy';
import { modelCard, roundRecords, runInfo, RunPaths } from '../outputs/index.ts';
import type { ServerModel } from './server-model.ts';
import { profileOf } from './smolvla-model.ts';
import { startContext, startContextSchema } from './start-context.ts';

/** One run's policy on the server: initial parameters, evaluation on held-out datasets, checkpoints with their model card. */
export class SmolVlaRun implements RunModel {
  readonly #model: ServerModel;
  readonly #config: RunConfig;
  readonly #paths: RunPaths;
  readonly #isPrivate: boolean;

  /** @param directory Where the run's outputs go. */
  constructor(model: ServerModel, config: RunConfig, directory: string) {
    this.#model = model;
    this.#config = config;
    this.#paths = new RunPaths(directory);
    this.#isPrivate = createStrategy(config.strategy).isPrivate;
  }

  get trainingDefaults(): TrainingDefaults {
    return this.#model.trainingDefaults;
  }

  misfit(client: RegisteredClient): string | null {
    const { dataset, private: isPrivate } = profileOf(client);
    if (this.#isPrivate && isPrivate !== true) return 'it joined with exact statistics of its recordings; private runs take clients that were started with --private';
    const { stateSize, actionSize } = this.#model.features;
    const [states, actions] = [dataset.stateNames.length, dataset.actionNames.length];
    if (states === stateSize && actions === actionSize) return null;
    return `${dataset.name} has ${states} and ${actions}, this run's model takes ${stateSize} state values and ${actionSize} actions`;
  }

  start(clients: readonly RegisteredClient[]): Promise<{ parameters: Parameters; context: JsonObject }> {
    const context = startContext(this.#model, clients.map((client) => ({ clientId: client.clientId, profile: profileOf(client) })));
    return Promise.resolve({ parameters: this.#model.initialParameters, context: JSON.parse(JSON.stringify(context)) as JsonObject });
  }

  async evaluate(path: string, _round: number, hooks: WorkHooks, state: RunState): Promise<Evaluation | null> {
    if (this.#config.heldOut.length === 0) return null;
    return this.#model.evaluate(path, startContextSchema.parse(state.context).run.normalizer, this.#config, hooks);
  }

  /** Writes `models/checkpoint_round_N`, whole or not at all. */
  async saveCheckpoint(path: string, round: number, state: RunState, startedAt: Date): Promise<string> {
    const directory = this.#paths.checkpoint(round);
    const { run, robot } = startContextSchema.parse(state.context);
    const { checkpointForm: form, policy, strategy } = this.#config;
    const rounds = roundRecords(state).filter((record) => record.round <= round);
    await writeDirectoryAtomic(directory, async (temporary) => {
      const parameters = await this.#model.save(temporary, path, run.normalizer, form);
      const [first] = state.rounds.at(-1)?.participants.values() ?? [];
      const training = fitTaskSchema.partial().safeParse(first?.instructions).data?.fit;
      const card = modelCard({
        run: runInfo(state, startedAt),
        rounds,
        basePolicy: policy,
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
              },
        features: { ...robot, cameras: run.features.cameras },
      });
      await writeFileAtomic(join(temporary, 'README.md'), card);
      await writeFileAtomic(join(temporary, 'metrics.json'), `${JSON.stringify(rounds.at(-1) ?? null, null, 2)}\n`);
    });
    return directory;
  }

  close(): Promise<void> {
    return this.#model.close();
  }
}
