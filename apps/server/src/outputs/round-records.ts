import { versionsSince, type RoundState, type RunState } from '@zk0/core';
import { startContextSchema, type StartContext } from '../model/start-context.ts';
import { versions } from '../versions.ts';
import type { RoundTime } from './round-times.ts';
import type { RoundRecord, RunInfo } from './types.ts';

/** What identifies a run that has started. */
export function runInfo(state: RunState, startedAt: Date): RunInfo {
  const { datasets, run, resolved, compute } = startContextSchema.parse(state.context);
  return {
    runId: state.runId,
    startedAt,
    config: state.config,
    versions: compute?.versions ?? versions(),
    datasets,
    ...(resolved !== undefined && { resolved }),
    ...(compute !== undefined && { compute: { server: compute.server, clients: compute.clients.map(({ clientId, agent, device }) => ({ client_id: clientId, agent, device })) } }),
    context: run,
  };
}

/**
 * What there is to say of each round that is over but for its checkpoint, or skipped; round 0 is the initial model.
 *
 * @param after - rounds up to this one are left out
 * @param times - when things happened in each round, where that is known
 */
export function roundRecords(state: RunState, after = -1, times: ReadonlyMap<number, RoundTime> = new Map()): RoundRecord[] {
  const { datasets } = startContextSchema.parse(state.context);
  const initial = state.initialParameters;
  const timeOf = (round: number): { readonly time?: RoundTime } => {
    const time = times.get(round);
    return time === undefined ? {} : { time };
  };
  const baseline: RoundRecord[] =
    state.baseline === undefined || after >= 0
      ? []
      : [{ round: 0, clients: [], server: state.baseline, aggregated: {}, ...(initial !== null && { paramHash: initial.hash }), ...timeOf(0) }];
  const over = state.rounds.filter(({ round, phase }) => round > after && (phase === 'checkpointing' || phase === 'done' || phase === 'skipped'));
  return [...baseline, ...over.map((round) => ({ ...roundRecord(round, datasets, state), ...timeOf(round.round) }))];
}

function roundRecord(round: RoundState, datasets: StartContext['datasets'], { rounds }: Pick<RunState, 'rounds'>): RoundRecord {
  const before = { rounds: rounds.slice(0, round.round - 1) };
  const names = new Map(datasets.map(({ clientId, name }) => [clientId, name]));
  const participants = [...round.participants].sort(([a], [b]) => (a < b ? -1 : 1));
  const { cosines = {} } = round.aggregate ?? {};
  const excluded = new Map((round.aggregate?.excluded ?? []).map(({ clientId, reason }) => [clientId, reason]));
  return {
    round: round.round,
    clients: participants.flatMap(([clientId, { outcome, task }]) =>
      outcome.state !== 'accepted' || excluded.has(clientId)
        ? []
        : [
            {
              clientId,
              datasetName: names.get(clientId) ?? 'unknown',
              numExamples: outcome.numExamples,
              metrics: {
                ...outcome.metrics,
                // Versions between its start and now, where rounds are buffered.
                ...(round.buffered === true && { staleness: task === undefined ? 0 : versionsSince(before, task.round) }),
                ...(cosines[clientId] !== undefined && { cosine_to_mean: cosines[clientId] }),
              },
              paramHash: outcome.update.hash,
            },
          ],
    ),
    missing: participants.flatMap(([clientId, { outcome }]) => {
      if (outcome.state === 'assigned') return [{ clientId, reason: 'no result before the round closed' }];
      if (outcome.state === 'left') return [{ clientId, reason: 'the client left before the round closed' }];
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
