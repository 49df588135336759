import { readFileSync } from 'node:fs';
import { Zk0Error, type RoundState, type RunState } from '@zk0/core';
import { startContextSchema, type StartContext } from '../model/start-context.ts';
import type { RoundRecord, RunInfo } from './types.ts';

/** What identifies a run that has started. */
export function runInfo(state: RunState, startedAt: Date): RunInfo {
  const { datasets, run } = startContextSchema.parse(state.context);
  return { runId: state.runId, startedAt, config: state.config, versions: versions(), datasets, context: run };
}

/**
 * What there is to say of each round that is over but for its checkpoint, or skipped; round 0 is the initial model.
 *
 * @param after - rounds up to this one are left out
 */
export function roundRecords(state: RunState, after = -1): RoundRecord[] {
  const { datasets } = startContextSchema.parse(state.context);
  const initial = state.initialParameters;
  const baseline: RoundRecord[] =
    state.baseline === undefined || after >= 0
      ? []
      : [{ round: 0, clients: [], server: state.baseline, aggregated: {}, ...(initial !== null && { paramHash: initial.hash }) }];
  const over = state.rounds.filter(({ round, phase }) => round > after && (phase === 'checkpointing' || phase === 'done' || phase === 'skipped'));
  return [...baseline, ...over.map((round) => roundRecord(round, datasets))];
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

/** Versions of what computes: of this program and of Node. */
export function versions(): Readonly<Record<'zk0' | 'node', string>> {
  const version = (specifier: string): string => {
    const url = new URL(import.meta.resolve(specifier));
    const { version } = JSON.parse(readFileSync(url, 'utf8')) as { version?: string };
    if (version === undefined) throw new Zk0Error('INSTALLATION_BROKEN', `${specifier} names no version`, { hint: 'Install zk0 again.' });
    return version;
  };
  return { zk0: version('@zk0/core/package.json'), node: process.versions.node };
}
