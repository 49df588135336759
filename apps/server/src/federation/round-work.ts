import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  compareNames,
  deriveSeed,
  encodeParameters,
  InvalidArgumentError,
  runContextSchema,
  Zk0Error,
  type ClientProfile,
  type BlobReference,
  type Evaluation,
  type FitTask,
  type Metrics,
  type RoundState,
  type RunConfig,
  type RunContext,
  type RunEvent,
  type RunState,
} from '@zk0/core';
import type { Logger } from '@zk0/logger';
import { createSafetensors, openSafetensors, type BlobStore, type SafetensorsFile } from '@zk0/storage';
import {
  checkUpdate,
  createStrategy,
  selectClients,
  WorkerPool,
  type RoundRecord,
  type Scalars,
  type Strategy,
  type UpdateInspection,
} from '@zk0/strategy';
import type { JsonObject, Task } from '@zk0/transport';
import type { ClientRegistry, RegisteredClient } from './client-registry.ts';
import { commonNormalizer } from './normalizer.ts';
import { RunRecorder, startContextSchema, type StartContext } from './run-recorder.ts';
import { ServerModel, type ServerModelOptions } from './server-model.ts';
import type { TaskBoard } from './task-board.ts';

/** An upload is complete before the result that names it arrives: a blob this young may belong to one on its way. */
const UPLOAD_GRACE_MS = 60_000;
/** Parameters this large are aggregated on worker threads; smaller ones are done before the threads have started. */
const WORKER_PARAMETER_BYTES = 32 * 2 ** 20;
const MAX_WORKERS = 4;

/** A task with its addressee. */
export interface RoundTask {
  readonly clientId: string;
  readonly task: Task;
}

/** An update that came in, before it is journaled. */
export interface IncomingUpdate {
  readonly clientId: string;
  readonly update: BlobReference;
  readonly numExamples: number;
  readonly metrics: Metrics;
}

/** What the work on a run's rounds needs. */
export interface RoundWorkOptions {
  readonly runId: string;
  readonly startedAt: Date;
  readonly directory: string;
  readonly scratchDirectory: string;
  readonly cacheDirectory: string;
  readonly device: string;
  /** Element type of matrix products, or `auto`. */
  readonly precision?: string;
  readonly threads?: number;
  readonly clients: ClientRegistry;
  readonly board: TaskBoard<RoundTask>;
  readonly blobs: BlobStore;
  readonly log: Logger;
  readonly onProgress: (progress: { readonly phase: string; readonly step: number; readonly totalSteps: number }) => void;
}

/** Does what the driver asks for, one method a step; decides nothing about order. */
export class RoundWork {
  readonly #options: RoundWorkOptions;
  #model: ServerModel | undefined;
  #strategy: Strategy | undefined;
  #workers: WorkerPool | undefined;
  /** What reading this round's updates has shown, by blob; after a restart the aggregation reads them itself. */
  readonly #inspections = new Map<string, UpdateInspection>();
  #recorder: RunRecorder | undefined;

  constructor(options: RoundWorkOptions) {
    this.#options = options;
  }

  /** Fixes what holds for the whole run, once enough clients are there; `null` until then. */
  async start(state: RunState, signal: AbortSignal): Promise<{ parameters: BlobReference; context: JsonObject } | null> {
    const { config } = state;
    if (this.#options.clients.online().length < config.minClients) return null;
    this.#model ??= await this.#open(config, { fallback: this.#options.clients.online()[0]!.profile.dataset });
    signal.throwIfAborted();
    const clients = this.#fitting(this.#model.features);
    if (clients.length < config.minClients) return null;
    const context = runContextSchema.parse({
      policy: { source: this.#model.policySource, baseHash: this.#model.baseHash },
      features: this.#model.features,
      normalizer: commonNormalizer(clients.map(({ profile }) => profile.dataset)),
    });
    const datasets: StartContext['datasets'] = [
      ...clients.map(({ clientId, profile }) => ({ role: 'train' as const, clientId, ...datasetIdentity(profile.dataset) })),
      ...this.#model.heldOut.map((profile) => ({ role: 'held-out' as const, ...datasetIdentity(profile) })),
    ];
    checkDisjoint(datasets);
    const parameters = await this.#options.blobs.put(encodeParameters(this.#model.initialParameters));
    return { parameters, context: toJson({ run: context, datasets, robot: this.#model.robot }) };
  }

  /** Chooses clients and writes their instructions; `null` while too few are there. */
  async configure(state: RunState, round: number): Promise<{ clientId: string; instructions: JsonObject }[] | null> {
    const { config } = state;
    const context = runContext(state);
    const available = this.#fitting(context.features).map(({ clientId, profile }) => ({
      clientId,
      numExamples: profile.dataset.frames,
    }));
    if (available.length < config.minClients) return null;
    const defaults = (await this.#modelOf(state)).trainingDefaults;
    const history = roundHistory(state);
    const chosen = selectClients({
      available,
      fraction: config.fraction,
      minClients: config.minClients,
      seed: config.seed,
      round,
      history,
    });
    const plan = this.#strategyOf(config).configureFit({
      round,
      totalRounds: config.rounds,
      clientIds: chosen,
      population: available.length,
      learningRate: config.learningRate ?? defaults.learningRate,
      history,
      scalars: state.strategyScalars as Scalars,
    });
    for (const reason of plan.reasons) this.#options.log.info(reason, { round });
    return chosen.map((clientId) => {
      const { learningRate, proximalMu } = plan.clients.get(clientId)!;
      const task: FitTask = {
        context,
        fit: {
          round,
          seed: deriveSeed(config.seed, 'fit', round, clientId),
          localSteps: config.localSteps ?? defaults.localSteps,
          batchSize: config.batchSize ?? defaults.batchSize,
          learningRate,
          proximalMu,
        },
      };
      return { clientId, instructions: toJson(task) };
    });
  }

  publishTasks(state: RunState, round: RoundState, deadline: number): void {
    const open = [...round.participants].filter(([, { outcome }]) => outcome.state === 'assigned');
    const tasks = open.map(([clientId, { instructions }]): RoundTask => ({
      clientId,
      task: {
        taskId: `${state.runId}/${round.round}/${clientId}`,
        runId: state.runId,
        round: round.round,
        kind: 'fit',
        attempt: 1,
        parameters: state.parameters!,
        instructions: instructions as JsonObject,
        deadline: new Date(deadline).toISOString(),
      },
    }));
    this.#options.board.publish(tasks, state.config.maxParallel);
  }

  withdrawTasks(): void {
    this.#options.board.clear();
  }

  taskSettled(clientId: string): void {
    this.#options.board.withdraw(clientId);
  }

  /**
   * Reads an update through before it may count.
   *
   * @throws Zk0Error naming client and tensor when it must not.
   */
  async inspect(state: RunState, incoming: IncomingUpdate): Promise<void> {
    const { blobs } = this.#options;
    const global = await openSafetensors(blobs.path(state.parameters!.hash));
    try {
      const tensors = await openSafetensors(blobs.path(incoming.update.hash));
      try {
        const { guards } = this.#strategyOf(state.config);
        const inspection = await checkUpdate({ ...incoming, tensors }, { global, guards, workers: this.#workersFor(global) });
        this.#inspections.set(incoming.update.hash, inspection);
      } finally {
        await tensors.close();
      }
    } finally {
      await global.close();
    }
  }

  /** Folds a closed round's updates into the next parameters, or skips the round when there are too few. */
  async aggregate(state: RunState, signal: AbortSignal): Promise<RunEvent> {
    const round = state.rounds.at(-1)!;
    const accepted = [...round.participants].flatMap(([clientId, { outcome }]) =>
      outcome.state === 'accepted' ? [{ clientId, ...outcome }] : [],
    );
    const needed = Math.min(state.config.minClients, round.participants.size);
    if (accepted.length < needed) {
      return { type: 'round-skipped', round: round.round, reason: `${accepted.length} of ${needed} updates needed` };
    }
    const { blobs, scratchDirectory } = this.#options;
    await mkdir(scratchDirectory, { recursive: true });
    const opened: SafetensorsFile[] = [];
    const open = async (hash: string): Promise<SafetensorsFile> => {
      const file = await openSafetensors(blobs.path(hash));
      opened.push(file);
      return file;
    };
    try {
      const strategy = this.#strategyOf(state.config);
      const global = await open(state.parameters!.hash);
      const updates = await Promise.all(
        accepted
          .sort((a, b) => compareNames(a.clientId, b.clientId))
          .map(async ({ clientId, numExamples, metrics, update }) => {
            const inspection = this.#inspections.get(update.hash);
            return { clientId, numExamples, metrics, tensors: await open(update.hash), ...(inspection === undefined ? {} : { inspection }) };
          }),
      );
      const oldState = state.strategyState === null ? null : await open(state.strategyState.hash);
      const stateSpecs = strategy.stateSpecs(global.specs);
      const path = join(scratchDirectory, `${state.runId}-${round.round}`);
      const parameters = await createSafetensors(`${path}.parameters`, global.specs);
      const newState = stateSpecs.length === 0 ? null : await createSafetensors(`${path}.state`, stateSpecs);
      try {
        const result = await strategy.aggregate(
          {
            round: round.round,
            global,
            updates,
            state: oldState,
            scalars: state.strategyScalars as Scalars,
            seed: deriveSeed(state.config.seed, 'aggregate', round.round),
            failures: round.participants.size - accepted.length,
            population: this.#options.clients.all().length,
          },
          { parameters, state: newState },
          { signal, workers: this.#workersFor(global) },
        );
        await parameters.commit();
        await newState?.commit();
        this.#inspections.clear();
        return {
          type: 'round-aggregated',
          round: round.round,
          parameters: await this.#adopt(`${path}.parameters`),
          strategyState: newState === null ? null : await this.#adopt(`${path}.state`),
          strategyScalars: toJson(result.scalars),
          metrics: { ...result.metrics },
          excluded: result.excluded.map((update) => ({ ...update })),
        };
      } catch (error) {
        await parameters.abort();
        await newState?.abort();
        throw error;
      }
    } finally {
      await Promise.all(opened.map((file) => file.close()));
    }
  }

  /** Evaluates the newest parameters on the held-out datasets; `null` when there are none. */
  async evaluate(state: RunState, round: number, signal: AbortSignal): Promise<Evaluation | null> {
    const { config } = state;
    if (config.heldOut.length === 0) return null;
    const model = await this.#modelOf(state);
    const { log, blobs, onProgress } = this.#options;
    const evaluation = await model.evaluate(blobs.path(state.parameters!.hash), runContext(state).normalizer, config, {
      signal,
      onProgress: ({ step, totalSteps }) => {
        onProgress({ phase: round === 0 ? 'evaluating the initial model' : 'evaluating', step, totalSteps });
      },
    });
    log.info(`policy loss on held-out data: ${evaluation.policyLoss.toFixed(4)}`, { round });
    return evaluation;
  }

  /** Writes a checkpoint of the newest parameters; returns its directory. */
  async saveCheckpoint(state: RunState, round: number): Promise<string> {
    const model = await this.#modelOf(state);
    const recorder = await this.#recorderOf(state);
    const path = await recorder.saveCheckpoint(state, round, (directory) =>
      model.save(directory, this.#options.blobs.path(state.parameters!.hash), runContext(state).normalizer, state.config.checkpointForm),
    );
    this.#options.log.info(`checkpoint saved: ${path}`, { round });
    return path;
  }

  /** When a run ends early: the newest finished round gets its checkpoint if it has none. */
  async saveLastCheckpoint(state: RunState): Promise<string | null> {
    const done = state.rounds.findLast(({ phase }) => phase === 'done');
    if (done === undefined || done.checkpoint != null) return null;
    // While a later round is past aggregation, the newest parameters are not that round's any more.
    const last = state.rounds.at(-1)!;
    const round = last.aggregate === undefined ? done.round : last.round;
    return this.saveCheckpoint(state, round);
  }

  /** Drops blobs that no later step can need. */
  async collectGarbage(state: RunState): Promise<void> {
    const keep = [state.parameters, state.strategyState].flatMap((blob) => (blob === null ? [] : [blob.hash]));
    await this.#options.blobs.collect(new Set(keep), { minimumAgeMs: UPLOAD_GRACE_MS });
  }

  /** Writes the metrics and charts of the newest round, or of the initial parameters. */
  async record(state: RunState): Promise<void> {
    const recorder = await this.#recorderOf(state);
    await recorder.recordBaseline(state);
    const round = state.rounds.at(-1);
    if (round !== undefined) await recorder.recordRound(round);
  }

  async close(): Promise<void> {
    await this.#recorder?.close();
    await this.#workers?.close();
    this.#workers = undefined;
    await this.#model?.close();
    this.#model = undefined;
  }

  async #adopt(path: string): Promise<BlobReference> {
    const blob = await this.#options.blobs.putFile(path);
    await rm(path, { force: true });
    return blob;
  }

  #fitting(features: RunContext['features']): RegisteredClient[] {
    return this.#options.clients.online().filter(({ profile: { dataset } }) => {
      return dataset.stateNames.length === features.stateSize && dataset.actionNames.length === features.actionSize;
    });
  }

  async #modelOf(state: RunState): Promise<ServerModel> {
    const { policy, features } = runContext(state);
    // The policy as it was when the run began, though its branch on the hub may have moved.
    this.#model ??= await this.#open({ ...state.config, policy: policy.source }, { features });
    return this.#model;
  }

  async #open(config: RunConfig, sizes: Pick<ServerModelOptions, 'features' | 'fallback'>): Promise<ServerModel> {
    const model = await ServerModel.open(config, { ...this.#options, ...sizes });
    this.#options.log.info(model.device);
    return model;
  }

  async #recorderOf(state: RunState): Promise<RunRecorder> {
    this.#recorder ??= await RunRecorder.open(this.#options.directory, state, this.#options.startedAt);
    return this.#recorder;
  }

  #workersFor({ byteLength }: SafetensorsFile): WorkerPool | 0 {
    if (byteLength < WORKER_PARAMETER_BYTES) return 0;
    return (this.#workers ??= new WorkerPool(Math.min(MAX_WORKERS, availableParallelism())));
  }

  #strategyOf(config: RunConfig): Strategy {
    this.#strategy ??= createStrategy(config.strategy);
    return this.#strategy;
  }
}

/**
 * Refuses a configuration that could only fail later.
 *
 * @throws Zk0Error saying what does not fit.
 */
export function checkRunConfig({ strategy: settings, minClients }: Pick<RunConfig, 'strategy' | 'minClients'>): void {
  const strategy = createStrategy(settings);
  if (strategy.minUpdates > minClients) {
    throw new InvalidArgumentError(
      `strategy ${strategy.name} needs ${strategy.minUpdates} updates, the run starts with ${minClients} clients`,
      { hint: `Raise minClients to ${strategy.minUpdates}.` },
    );
  }
  if (strategy.broadcastState.length > 0) {
    throw new InvalidArgumentError(`strategy ${strategy.name} needs clients that keep control variates, which those of a run do not`, {
      hint: 'Choose fedavg or fedprox; scaffold is there for programs that use @zk0/strategy themselves.',
    });
  }
  if (settings['poissonRate'] !== undefined) {
    throw new InvalidArgumentError('poissonRate: a run chooses a fixed number of clients, which does not count in privacy’s favour', {
      hint: 'Leave poissonRate out: the privacy spent is then accounted as if every client took part.',
    });
  }
}

/** A running run's context. */
export function runContext(state: RunState): RunContext {
  return startContextSchema.parse(state.context).run;
}

/** Finished rounds as schedules and selection want them. */
function roundHistory(state: RunState): RoundRecord[] {
  return state.rounds
    .filter(({ phase }) => phase === 'done' || phase === 'skipped')
    .map(({ round, evaluation, participants }) => ({
      round,
      serverLoss: evaluation?.policyLoss ?? null,
      clients: Object.fromEntries(
        [...participants].map(([clientId, { outcome }]) => [
          clientId,
          { loss: outcome.state === 'accepted' ? (outcome.metrics['loss'] ?? null) : null },
        ]),
      ),
    }));
}

function datasetIdentity({ name, commit, contentHash, episodes, frames }: ClientProfile['dataset']): Omit<StartContext['datasets'][number], 'role'> {
  return { name, ...(commit === undefined ? {} : { commit }), contentHash, episodes, frames };
}

/** Training on what is held out would make every evaluation a lie. */
function checkDisjoint(datasets: StartContext['datasets']): void {
  const heldOut = new Set(datasets.filter(({ role }) => role === 'held-out').map(({ contentHash }) => contentHash));
  const both = datasets.find(({ role, contentHash }) => role === 'train' && heldOut.has(contentHash));
  if (both === undefined) return;
  throw new Zk0Error('DATASET_OVERLAP', `client ${both.clientId ?? ''} trains on ${both.name}, which is held out`, {
    hint: 'Hold out episodes that no client has.',
  });
}

function toJson(value: unknown): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}
