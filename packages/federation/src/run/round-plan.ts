import { clientLoss, deriveSeed, type BlobReference, type JsonObject, type Participation, type RunState } from '@zk0/core';
import { MAX_CLIENTS } from '@zk0/secure-aggregation';
import { sampleSize, selectClients, type RoundRecord, type Scalars, type Strategy } from '@zk0/strategy';
import type { RegisteredClient } from '../clients/registered-client.ts';
import { FederationError } from '../errors.ts';
import type { RunModel } from '../model.ts';
import { chooseEncoding } from './choose-encoding.ts';
import { assignmentSchema, type Assignment } from './instructions.ts';
import { publishedStep } from './publish-parameters.ts';
import { stepsBySpeed } from './steps-by-speed.ts';

/** Who trains in a round, and how. */
export interface RoundPlan {
  readonly assignments: { readonly clientId: string; readonly instructions: JsonObject }[];
  /** Accepted updates that close the round, where more clients are asked than that. */
  readonly wanted?: number;
  /** Buffered rounds: those who train on for an earlier round, and may not answer in this one. */
  readonly buffered?: { readonly dropped: DroppedTask[] };
  /** Why learning rates or μ differ from before, for people. */
  readonly reasons: readonly string[];
}

/** A task of an earlier round that is not waited for any longer, and why. */
export interface DroppedTask {
  readonly clientId: string;
  readonly reason: 'stale' | 'overdue' | 'left';
}

/** What a plan is made from, beside the run's state. */
export interface RoundPlanOptions {
  /** Those who could take part. */
  readonly clients: readonly RegisteredClient[];
  readonly strategy: Strategy;
  readonly model: RunModel;
  /** The strategy's state that clients need; `null` while there is none. */
  readonly broadcast: BlobReference | null;
  /** Those who train for an earlier round, and are not to answer any more. */
  readonly dropped?: readonly DroppedTask[];
}

/** Chooses a round's clients among those that are there and writes their instructions. */
export function planRound(state: RunState, round: number, { clients, strategy, model, broadcast, dropped = [] }: RoundPlanOptions): RoundPlan {
  const { config } = state;
  const defaults = model.trainingDefaults;
  const history = roundHistory(state);
  const goOn = new Set(strategy.buffer === null ? [] : state.underWay?.keys());
  for (const { clientId } of dropped) goOn.delete(clientId);
  const wanted = strategy.buffer?.size ?? sampleSize(clients.length, config.fraction, config.minClients);
  const chosen = selectClients({
    available: clients.filter(({ clientId }) => !goOn.has(clientId)).map(({ clientId, numExamples }) => ({ clientId, numExamples })),
    // As many train at a time as a round would ask.
    ...(strategy.buffer !== null && { count: Math.max(0, sampleSize(clients.length, config.fraction, config.minClients) - goOn.size) }),
    fraction: config.fraction,
    minClients: config.minClients,
    overSelection: config.overSelection,
    weightBy: config.weightBy,
    seed: config.seed,
    round,
    history,
  });
  const plan = strategy.configureFit({
    round,
    totalRounds: config.rounds,
    clientIds: chosen,
    population: clients.length,
    learningRate: config.learningRate ?? defaults.learningRate,
    history,
    scalars: state.strategyScalars as Scalars,
  });
  const localSteps = config.localSteps ?? defaults.localSteps;
  const bound = config.localStepsBySpeed;
  const steps = bound === undefined ? undefined : stepsBySpeed(state, { clientIds: clients.map(({ clientId }) => clientId), localSteps, bound });
  const byId = new Map(clients.map((client) => [client.clientId, client]));
  const { secureAggregation: secure } = config;
  if (secure !== undefined && chosen.length > MAX_CLIENTS) {
    throw new FederationError('RUN_CONFIG_INVALID', `secureAggregation: round ${round} asks ${chosen.length} clients, and a sum can have ${MAX_CLIENTS}`, { hint: 'Lower fraction.' });
  }
  const maxWeight = Math.max(...chosen.map((clientId) => byId.get(clientId)!.numExamples));
  const assignments = chosen.map((clientId) => {
    const { learningRate, proximalMu } = plan.clients.get(clientId)!;
    const own = model.clientInstructions?.(byId.get(clientId)!);
    const encoding = chooseEncoding(config.updateEncoding, state.parameters!, lastCounted(state, clientId)?.metrics ?? null);
    const assignment: Assignment = {
      fit: {
        round,
        seed: deriveSeed(config.seed, 'fit', round, clientId),
        localSteps: steps?.get(clientId) ?? localSteps,
        batchSize: config.batchSize ?? defaults.batchSize,
        learningRate,
        proximalMu,
      },
      ...(strategy.broadcastState.length > 0 && { control: { server: broadcast, last: lastCounted(state, clientId)?.control?.hash ?? null } }),
      ...(config.clientOptimizer === 'keep' && { optimizer: { last: lastUpdate(state, clientId) } }),
      ...(encoding !== 'float32' && { update: { encoding, last: encoding === 'delta' ? null : lastUpdate(state, clientId) } }),
      ...(config.broadcastEncoding !== 'float32' && { broadcast: { encoding: config.broadcastEncoding, step: publishedStep(state) } }),
      ...(secure !== undefined && { masking: { clients: chosen.length, clip: secure.clip, maxWeight } }),
      ...(strategy.isPrivate && { private: true }),
      ...(own !== undefined && { client: own }),
    };
    const checked = assignmentSchema.safeParse(assignment);
    if (checked.success) return { clientId, instructions: JSON.parse(JSON.stringify(checked.data)) as JsonObject };
    const [issue] = checked.error.issues;
    throw new FederationError('TASK_UNKNOWN', `round ${round}: instructions for client ${clientId}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`, {
      hint: 'Check the schedule and the training settings of the run.',
    });
  });
  if (strategy.buffer !== null) return { assignments, reasons: plan.reasons, wanted, buffered: { dropped: [...dropped] } };
  return { assignments, reasons: plan.reasons, ...(wanted < chosen.length ? { wanted } : {}) };
}

/** The last update of a client that counted: its round was aggregated, and the strategy did not exclude it. */
function lastCounted({ rounds }: RunState, clientId: string): (Extract<Participation, { state: 'accepted' }> & { readonly round: number }) | null {
  for (const { round, aggregate, participants } of rounds.toReversed()) {
    const outcome = participants.get(clientId)?.outcome;
    if (aggregate === undefined || outcome?.state !== 'accepted') continue;
    if (!aggregate.excluded.some((update) => update.clientId === clientId)) return { ...outcome, round: participants.get(clientId)?.task?.round ?? round };
  }
  return null;
}

/** The same as a task names it. */
function lastUpdate(state: RunState, clientId: string): NonNullable<Assignment['optimizer']>['last'] {
  const last = lastCounted(state, clientId);
  return last === null ? null : { round: last.round, update: last.update.hash };
}

/** Finished rounds as schedules and selection want them. */
function roundHistory(state: RunState): RoundRecord[] {
  return state.rounds
    .filter(({ phase }) => phase === 'done' || phase === 'skipped')
    .map(({ round, evaluation, participants }) => ({
      round,
      serverLoss: evaluation?.policyLoss ?? null,
      clients: Object.fromEntries(
        [...participants].flatMap(([clientId, { outcome }]) =>
          // Its turn did not count: it comes first again as if it had not been asked.
          outcome.state === 'unneeded' ? [] : [[clientId, { loss: outcome.state === 'accepted' ? (clientLoss(outcome.metrics) ?? null) : null }]],
        ),
      ),
    }));
}
