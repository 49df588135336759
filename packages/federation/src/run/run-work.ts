import { bestRound, encodeParameters, versionsSince, type BlobReference, type Evaluation, type JsonObject, type RunEvent, type RunState } from '@zk0/core';
import { createStrategy, type Strategy } from '@zk0/strategy';
import type { EngineBlobs } from '../blobs/engine-blobs.ts';
import type { ClientRegistry } from '../clients/client-registry.ts';
import type { RegisteredClient } from '../clients/registered-client.ts';
import type { Clock } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FederationLog } from '../log.ts';
import type { FederatedModel, RunModel } from '../model.ts';
import type { TaskQueue } from '../tasks/task-queue.ts';
import { broadcastState } from './broadcast-state.ts';
import { RoundAggregator, type IncomingUpdate, type SharedParts } from './round-aggregator.ts';
import { planRound, type DroppedTask, type RoundPlan } from './round-plan.ts';

/** The most that the ledger keeps of why a round's learning rates differ. */
const MAX_REASONS = 100;
const MAX_REASON_CHARS = 500;

const WHY_DROPPED: Readonly<Record<DroppedTask['reason'], string>> = {
  stale: 'too many versions have come since it began',
  overdue: 'its time is over',
  left: 'the client has left',
};

/** What the work on a run needs. */
export interface RunWorkOptions {
  readonly runId: string;
  /** When it was submitted. */
  readonly createdAt: Date;
  /** When each round was configured, the first at 0. */
  readonly configuredAt: () => readonly Date[];
  readonly ledger: Ledger;
  readonly model: FederatedModel;
  readonly clients: ClientRegistry;
  readonly queue: TaskQueue;
  readonly blobs: EngineBlobs;
  /** Room for files in the making, on the blobs' file system where there is one. */
  readonly scratchDirectory: string;
  readonly clock: Clock;
  readonly log: FederationLog;
  readonly parts?: SharedParts;
  readonly onProgress: (progress: { readonly phase: string; readonly step: number; readonly totalSteps: number }) => void;
}

/** Something cannot be done yet, and what it waits for. */
export interface Waiting {
  readonly waiting: string;
}

/** A plan as the ledger keeps it: reasons only where there are some, and only as many as its schema takes. */
type RecordedPlan = Omit<RoundPlan, 'reasons'> & { readonly reasons?: string[] };

/** The effects of a run, one method a step. They decide nothing about order, and each can be repeated. */
export class RunWork {
  readonly #options: RunWorkOptions;
  readonly #misfits = new Map<string, string>();
  #model: RunModel | undefined;
  #strategy: Strategy | undefined;
  #aggregator: RoundAggregator | undefined;

  constructor(options: RunWorkOptions) {
    this.#options = options;
  }

  /** Why a client gets no work of this run, as far as that is known. */
  misfit(clientId: string): string | undefined {
    return this.#misfits.get(clientId);
  }

  /** Fixes what holds for the whole run, once enough clients are there. */
  async start(state: RunState, signal: AbortSignal): Promise<{ parameters: BlobReference; context: JsonObject; clients: string[] } | Waiting> {
    const { clients, blobs } = this.#options;
    const online = clients.online().filter(({ clientId }) => !state.barred.has(clientId));
    const { minClients } = state.config;
    if (online.length < minClients) return { waiting: state.barred.size > 0 ? this.#lacking(minClients, online.length, state) : `${needed(minClients)}, ${online.length} ${online.length === 1 ? 'is' : 'are'} there` };
    const model = await this.#modelOf(state, signal);
    const fitting = this.#fitting(model, state);
    if (fitting.length < minClients) return { waiting: this.#lacking(minClients, fitting.length, state) };
    const { parameters, context } = await model.start(fitting);
    signal.throwIfAborted();
    return { parameters: await blobs.put(encodeParameters(parameters)), context, clients: fitting.map(({ clientId }) => clientId) };
  }

  /** Plans a round, once enough clients are there. */
  async configure(state: RunState, round: number): Promise<RecordedPlan | Waiting> {
    const { log } = this.#options;
    const model = await this.#modelOf(state);
    const clients = this.#fitting(model, state);
    const { minClients } = state.config;
    if (clients.length < minClients) return { waiting: this.#lacking(minClients, clients.length, state) };
    const strategy = this.#strategyOf(state);
    const broadcast = await broadcastState(strategy, state, this.#options);
    const dropped = this.#dropped(state, strategy);
    const { reasons, ...plan } = planRound(state, round, { clients, strategy, model, broadcast, dropped });
    for (const { clientId, reason } of dropped) log.info(`the task of client ${clientId} is given up: ${WHY_DROPPED[reason]}`, { round });
    for (const reason of reasons) log.info(reason, { round });
    const kept = reasons.slice(0, MAX_REASONS).map((reason) => reason.slice(0, MAX_REASON_CHARS));
    return { ...plan, ...(kept.length > 0 && { reasons: kept }) };
  }

  /** @throws UpdateRejectedError when the update must not count */
  inspect(state: RunState, update: IncomingUpdate): Promise<void> {
    const declared = this.#options.clients.get(update.clientId)?.numExamples ?? Number.POSITIVE_INFINITY;
    return this.#aggregatorOf(state).inspect(state, update, declared);
  }

  aggregate(state: RunState, signal: AbortSignal): Promise<RunEvent> {
    return this.#aggregatorOf(state).aggregate(state, signal);
  }

  /** Evaluates the newest parameters. */
  async evaluate(state: RunState, round: number, signal: AbortSignal): Promise<Evaluation | null> {
    const model = await this.#modelOf(state, signal);
    const { log, onProgress } = this.#options;
    if (model.evaluate === undefined) return null;
    const evaluation = await model.evaluate(await this.#options.blobs.verifiedFile(state.parameters!), round, {
      signal,
      onProgress: ({ step, totalSteps }) => {
        onProgress({ phase: round === 0 ? 'evaluating the initial model' : 'evaluating', step, totalSteps });
      },
    }, state);
    if (evaluation !== null) log.info(`policy loss on held-out data: ${evaluation.policyLoss.toFixed(4)}`, { round });
    return evaluation;
  }

  /** Saves a checkpoint of the newest parameters; returns where it is. */
  async saveCheckpoint(state: RunState, round: number): Promise<string> {
    const model = await this.#modelOf(state);
    const path = await model.saveCheckpoint(await this.#options.blobs.verifiedFile(state.parameters!), round, state, this.#options.createdAt);
    this.#options.log.info(`checkpoint saved: ${path}`, { round });
    return path;
  }

  /** Keeps the parameters of the round that has the lowest held-out loss so far. */
  async saveBest(state: RunState, round: number): Promise<void> {
    if (!state.config.keepBest || bestRound(state)?.round !== round) return;
    const model = await this.#modelOf(state);
    await model.saveBest?.(await this.#options.blobs.verifiedFile(state.parameters!), round, state, this.#options.createdAt);
  }

  /** When a run ends early: the newest finished round gets its checkpoint if it has none. */
  async saveLastCheckpoint(state: RunState): Promise<string | null> {
    const done = state.rounds.findLast(({ phase }) => phase === 'done');
    if (done === undefined || done.checkpoint != null) return null;
    // While a later round is past aggregation, the newest parameters are not that round's any more.
    const last = state.rounds.at(-1)!;
    return this.saveCheckpoint(state, last.aggregate === undefined ? done.round : last.round);
  }

  async close(): Promise<void> {
    await this.#aggregator?.close();
    await this.#model?.close?.();
    this.#aggregator = undefined;
    this.#model = undefined;
  }

  /** Of those who train for an earlier round, the ones that the next does not wait for. */
  #dropped(state: RunState, { buffer }: Strategy): DroppedTask[] {
    const { clients, clock, configuredAt } = this.#options;
    const times = configuredAt();
    return [...(state.underWay ?? [])].flatMap(([clientId, { task }]): DroppedTask[] => {
      if (versionsSince(state, task.round) > (buffer?.maxStaleness ?? 0)) return [{ clientId, reason: 'stale' }];
      const deadline = (times[task.round - 1]?.getTime() ?? clock.now()) + state.config.roundDeadlineSeconds * 1000;
      if (clock.now() >= deadline) return [{ clientId, reason: 'overdue' }];
      return clients.get(clientId)?.activity.state === 'left' ? [{ clientId, reason: 'left' }] : [];
    });
  }

  /** The clients that the model can take; of each other one, the log says once why not. */
  #fitting(model: RunModel, { barred }: RunState): RegisteredClient[] {
    const all = this.#options.clients.online().filter(({ clientId }) => !barred.has(clientId));
    return all.filter((client) => {
      const why = model.misfit?.(client, all) ?? null;
      if (why === null) {
        this.#misfits.delete(client.clientId);
        return true;
      }
      if (this.#misfits.get(client.clientId) !== why) this.#options.log.warn(`client ${client.clientId} cannot take part: ${why}`);
      this.#misfits.set(client.clientId, why);
      return false;
    });
  }

  #lacking(count: number, fitting: number, { barred }: RunState): string {
    const online = new Set(this.#options.clients.online().map(({ clientId }) => clientId));
    const misfits = [...this.#misfits].filter(([clientId]) => online.has(clientId)).map(([clientId, why]) => `client ${clientId} cannot take part: ${why}`);
    const excluded = [...barred.keys()].filter((clientId) => online.has(clientId)).map((clientId) => `client ${clientId} is excluded`);
    return [`${needed(count)}, ${fitting} ${fitting === 1 ? 'is' : 'are'} there that can take part`, ...excluded.slice(0, 5), ...misfits.slice(0, 5)].join('; ');
  }

  async #modelOf({ runId, config, context }: RunState, signal = new AbortController().signal): Promise<RunModel> {
    const clients = this.#options.clients.online();
    return (this.#model ??= await this.#options.model.openRun({ runId, config, context: context as JsonObject | null, clients, signal }));
  }

  #strategyOf({ config }: RunState): Strategy {
    return (this.#strategy ??= createStrategy(config.strategy));
  }

  #aggregatorOf(state: RunState): RoundAggregator {
    const strategy = this.#strategyOf(state);
    return (this.#aggregator ??= new RoundAggregator({ ...this.#options, strategy }));
  }
}

function needed(clients: number): string {
  return clients === 1 ? '1 client is needed' : `${clients} clients are needed`;
}
