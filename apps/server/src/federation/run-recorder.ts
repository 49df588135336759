import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { fitTaskSchema, runContextSchema, Zk0Error, type RoundState, type RunState } from '@zk0/core';
import type { ParameterCount } from '@zk0/policy-smolvla';
import { writeDirectoryAtomic, writeFileAtomic } from '@zk0/storage';
import { createRunOutputs, modelCard, type RoundRecord, type RunInfo, type RunOutputs } from '../outputs/index.ts';

/** A dataset that had a part in a run. */
const datasetSchema = z.strictObject({
  role: z.enum(['train', 'held-out']),
  clientId: z.string().exactOptional(),
  name: z.string(),
  commit: z.string().exactOptional(),
  contentHash: z.string(),
  episodes: z.int(),
  frames: z.int(),
});

/** What a run's start fixes: what every participant is told (`run`), and what is for the record alone. */
export const startContextSchema = z.strictObject({
  run: runContextSchema,
  datasets: z.array(datasetSchema),
  robot: z.strictObject({ stateNames: z.array(z.string()).readonly(), actionNames: z.array(z.string()).readonly() }),
});
export type StartContext = z.infer<typeof startContextSchema>;

/** Turns a run's state into the files it leaves. Recording something twice, after a restart, changes nothing. */
export class RunRecorder {
  readonly #outputs: RunOutputs;
  readonly #info: RunInfo;
  readonly #context: StartContext;

  private constructor(outputs: RunOutputs, info: RunInfo, context: StartContext) {
    this.#outputs = outputs;
    this.#info = info;
    this.#context = context;
  }

  /** Opens the outputs of a run that has started. */
  static async open(directory: string, state: RunState, startedAt: Date): Promise<RunRecorder> {
    const context = startContextSchema.parse(state.context);
    const info: RunInfo = {
      runId: state.runId,
      startedAt,
      config: state.config,
      versions: versions(),
      datasets: context.datasets,
      context: context.run,
    };
    return new RunRecorder(await createRunOutputs(directory, info), info, context);
  }

  /** Records the evaluation of the initial parameters. */
  async recordBaseline(state: RunState): Promise<void> {
    await this.#outputs.recordRound({
      round: 0,
      clients: [],
      server: state.baseline ?? null,
      aggregated: {},
      ...(state.rounds.length === 0 ? { paramHash: state.parameters!.hash } : {}),
    });
  }

  /** Records a round that is done but for its checkpoint, or skipped. */
  async recordRound(round: RoundState): Promise<void> {
    await this.#outputs.recordRound(roundRecord(round, this.#context.datasets));
  }

  /**
   * Writes `models/checkpoint_round_N`, whole or not at all.
   *
   * @param save writes the model's own files into the directory it is given
   */
  async saveCheckpoint(
    state: RunState,
    round: number,
    save: (directory: string) => Promise<ParameterCount>,
  ): Promise<string> {
    const path = this.#outputs.paths.checkpoint(round);
    const rounds = this.#outputs.rounds.filter((record) => record.round <= round);
    const { config } = state;
    await writeDirectoryAtomic(path, async (directory) => {
      const parameters = await save(directory);
      const [first] = state.rounds.at(-1)?.participants.values() ?? [];
      const training = fitTaskSchema.safeParse(first?.instructions).data?.fit;
      const card = modelCard({
        run: this.#info,
        rounds,
        basePolicy: config.policy,
        form: config.checkpointForm,
        parameters,
        strategy: config.strategy.name,
        training:
          training === undefined
            ? {}
            : {
                'Local steps': training.localSteps,
                'Batch size': training.batchSize,
                'Learning rate': training.learningRate,
                'Proximal μ': training.proximalMu,
              },
        features: { ...this.#context.robot, cameras: this.#context.run.features.cameras },
      });
      await writeFileAtomic(join(directory, 'README.md'), card);
      await writeFileAtomic(join(directory, 'metrics.json'), `${JSON.stringify(rounds.at(-1) ?? null, null, 2)}\n`);
    });
    return path;
  }

  async close(): Promise<void> {
    await this.#outputs.close();
  }
}

function roundRecord(round: RoundState, datasets: StartContext['datasets']): RoundRecord {
  const names = new Map(datasets.map(({ clientId, name }) => [clientId, name]));
  const participants = [...round.participants].sort(([a], [b]) => (a < b ? -1 : 1));
  const excluded = new Map((round.aggregate?.excluded ?? []).map(({ clientId, reason }) => [clientId, reason]));
  return {
    round: round.round,
    clients: participants.flatMap(([clientId, { outcome }]) =>
      outcome.state !== 'accepted' || excluded.has(clientId)
        ? []
        : [
            {
              clientId,
              datasetName: names.get(clientId) ?? 'unknown',
              numExamples: outcome.numExamples,
              metrics: outcome.metrics,
              paramHash: outcome.update.hash,
            },
          ],
    ),
    missing: participants.flatMap(([clientId, { outcome }]) => {
      if (outcome.state === 'assigned') return [{ clientId, reason: 'no result before the round closed' }];
      if (outcome.state === 'refused') return [{ clientId, reason: outcome.message }];
      const reason = excluded.get(clientId);
      return reason === undefined ? [] : [{ clientId, reason }];
    }),
    server: round.evaluation ?? null,
    aggregated: round.aggregate?.metrics ?? {},
    ...(round.aggregate === undefined ? {} : { paramHash: round.aggregate.parameters.hash }),
    ...(round.skippedBecause === undefined ? {} : { skipped: round.skippedBecause }),
  };
}

function versions(): Record<string, string> {
  const version = (specifier: string): string => {
    const url = new URL(import.meta.resolve(specifier));
    const { version } = JSON.parse(readFileSync(url, 'utf8')) as { version?: string };
    if (version === undefined) throw new Zk0Error('INSTALLATION_BROKEN', `${specifier} names no version`, { hint: 'Install zk0 again.' });
    return version;
  };
  return { zk0: version('@zk0/core/package.json'), node: process.versions.node };
}
