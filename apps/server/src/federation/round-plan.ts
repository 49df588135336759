import { deriveSeed, type BlobReference, type FitTask, type RoundState, type RunState } from '@zk0/core';
import type { TrainingDefaults } from '@zk0/policy-smolvla';
import { sampleSize, selectClients, type RoundRecord, type Scalars, type Strategy } from '@zk0/strategy';
import type { JsonObject, Task } from '@zk0/transport';
import type { RegisteredClient } from './client-registry.ts';
import { runContext } from './run-context.ts';
import { toJson } from './to-json.ts';

/** A task with its addressee. */
export interface RoundTask {
  readonly clientId: string;
  readonly task: Task;
}

/** Who trains in a round, and how. */
export interface RoundPlan {
  readonly assignments: { readonly clientId: string; readonly instructions: JsonObject }[];
  /** Accepted updates that close the round, where more clients are asked than that. */
  readonly wanted?: number;
  /** Why learning rates or μ are other than before, for people. */
  readonly reasons: readonly string[];
}

/** What a plan is made from, beside the run's state. */
export interface RoundPlanOptions {
  /** Those who could take part. */
  readonly clients: readonly RegisteredClient[];
  readonly strategy: Strategy;
  readonly defaults: TrainingDefaults;
  /** The strategy's state that clients need; `null` while there is none. */
  readonly broadcast: BlobReference | null;
}

/** Chooses a round's clients among those that are there and writes their instructions. */
export function planRound(
  state: RunState,
  round: number,
  { clients, strategy, defaults, broadcast }: RoundPlanOptions,
): RoundPlan {
  const { config } = state;
  const context = runContext(state);
  const history = roundHistory(state);
  const chosen = selectClients({
    available: clients.map(({ clientId, profile }) => ({ clientId, numExamples: profile.dataset.frames })),
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
  const assignments = chosen.map((clientId) => {
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
      ...(strategy.broadcastState.length > 0 && { control: { server: broadcast, last: lastControl(state, clientId) } }),
    };
    return { clientId, instructions: toJson(task) };
  });
  const wanted = sampleSize(clients.length, config.fraction, config.minClients);
  return { assignments, reasons: plan.reasons, ...(wanted < chosen.length ? { wanted } : {}) };
}

/** The tasks of those who have not answered yet. */
export function openTasks(state: RunState, round: RoundState, deadline: number): RoundTask[] {
  const open = [...round.participants].filter(([, { outcome }]) => outcome.state === 'assigned');
  return open.map(([clientId, { instructions }]) => ({
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
}

/** The change of a client's control variate that counted last. */
function lastControl({ rounds }: RunState, clientId: string): string | null {
  for (const { aggregate, participants } of rounds.toReversed()) {
    const outcome = participants.get(clientId)?.outcome;
    if (aggregate === undefined || outcome?.state !== 'accepted') continue;
    if (!aggregate.excluded.some((update) => update.clientId === clientId)) return outcome.control?.hash ?? null;
  }
  return null;
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
          outcome.state === 'unneeded' ? [] : [[clientId, { loss: outcome.state === 'accepted' ? (outcome.metrics['loss'] ?? null) : null }]],
        ),
      ),
    }));
}
