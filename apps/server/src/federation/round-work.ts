import { encodeParameters, type BlobReference, type Evaluation, type RoundState, type RunConfig, type RunContext, type RunEvent, type RunState } from '@zk0/core';
import type { Logger } from '@zk0/logger';
import type { BlobStore } from '@zk0/storage';
import { createStrategy, type Strategy } from '@zk0/strategy';
import type { JsonObject } from '@zk0/transport';
import { broadcastState } from './broadcast-state.ts';
import type { ClientRegistry, RegisteredClient } from './client-registry.ts';
import { RoundAggregator, type IncomingUpdate } from './round-aggregator.ts';
import { openTasks, planRound, type RoundPlan, type RoundTask } from './round-plan.ts';
import { runContext, startContext } from './run-context.ts';
import { RunRecorder } from './run-recorder.ts';
import { ServerModel, type ServerModelOptions } from './server-model.ts';
import type { TaskBoard } from './task-board.ts';
import { toJson } from './to-json.ts';

/** An upload is complete before the result that names it arrives: a blob this young may belong to one on its way. */
const UPLOAD_GRACE_MS = 60_000;

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
  readonly #misfits = new Set<string>();
  #model: ServerModel | undefined;
  #strategy: Strategy | undefined;
  #aggregator: RoundAggregator | undefined;
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
    const context = startContext(this.#model, clients);
    const parameters = await this.#options.blobs.put(encodeParameters(this.#model.initialParameters));
    return { parameters, context: toJson(context) };
  }

  /** Plans a round; `null` while too few clients are there. */
  async configure(state: RunState, round: number): Promise<Omit<RoundPlan, 'reasons'> | null> {
    const clients = this.#fitting(runContext(state).features);
    if (clients.length < state.config.minClients) return null;
    const { trainingDefaults: defaults } = await this.#modelOf(state);
    const strategy = this.#strategyOf(state);
    const broadcast = await broadcastState(strategy, state, this.#options);
    const { reasons, ...plan } = planRound(state, round, { clients, strategy, defaults, broadcast });
    for (const reason of reasons) this.#options.log.info(reason, { round });
    return plan;
  }

  publishTasks(state: RunState, round: RoundState, deadline: number): void {
    this.#options.board.publish(openTasks(state, round, deadline), state.config.maxParallel);
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
  inspect(state: RunState, update: IncomingUpdate): Promise<void> {
    return this.#aggregatorOf(state).inspect(state, update);
  }

  /** Folds a closed round's updates into the next parameters, or skips the round when there are too few. */
  aggregate(state: RunState, signal: AbortSignal): Promise<RunEvent> {
    return this.#aggregatorOf(state).aggregate(state, signal);
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
    await this.#aggregator?.close();
    await this.#model?.close();
    this.#model = undefined;
  }

  /** The clients whose recordings the model can take; of each other one, the log says once why not. */
  #fitting({ stateSize, actionSize }: RunContext['features']): RegisteredClient[] {
    return this.#options.clients.online().filter(({ clientId, profile: { dataset } }) => {
      const [states, actions] = [dataset.stateNames.length, dataset.actionNames.length];
      if (states === stateSize && actions === actionSize) return true;
      if (!this.#misfits.has(clientId)) {
        this.#misfits.add(clientId);
        const needed = `${stateSize} state values and ${actionSize} actions`;
        this.#options.log.warn(`client ${clientId} cannot take part: ${dataset.name} has ${states} and ${actions}, this run's model takes ${needed}`);
      }
      return false;
    });
  }

  async #modelOf(state: RunState): Promise<ServerModel> {
    const { policy, features } = runContext(state);
    // The policy as it was when the run began, though its branch on the hub may have moved.
    this.#model ??= await this.#open({ ...state.config, policy: policy.source }, { features });
    return this.#model;
  }

  async #open(config: RunConfig, sizes: Pick<ServerModelOptions, 'features' | 'fallback'>): Promise<ServerModel> {
    const { log } = this.#options;
    const model = await ServerModel.open(config, {
      ...this.#options,
      ...sizes,
      onCorruptFrame: (dataset, frame, error) => {
        log.warn(`evaluation: frame ${frame} of ${dataset} is passed over: ${error.message}`);
      },
    });
    log.info(model.device);
    return model;
  }

  async #recorderOf(state: RunState): Promise<RunRecorder> {
    this.#recorder ??= await RunRecorder.open(this.#options.directory, state, this.#options.startedAt);
    return this.#recorder;
  }

  #strategyOf({ config }: RunState): Strategy {
    return (this.#strategy ??= createStrategy(config.strategy));
  }

  #aggregatorOf(state: RunState): RoundAggregator {
    const { blobs, scratchDirectory } = this.#options;
    const strategy = this.#strategyOf(state);
    return (this.#aggregator ??= new RoundAggregator({ strategy, blobs, scratchDirectory }));
  }
}
