import type { Participation, RunState, Task } from '@zk0/core';
import type { LedgerRun } from '../ledger/ledger.ts';
import { taskOf } from './round-plan.ts';

/** When the round that is under way closes with what has arrived: milliseconds since the epoch. */
export function roundDeadline({ state, roundConfiguredAt }: LedgerRun, now: number): number {
  return (roundConfiguredAt?.getTime() ?? now) + state.config.roundDeadlineSeconds * 1000;
}

/** A client's part in the round that is open; `undefined` when there is none. */
export function participation({ phase, rounds }: RunState, clientId: string): Participation['state'] | undefined {
  const round = rounds.at(-1);
  return phase === 'running' && round?.phase === 'training' ? round.participants.get(clientId)?.outcome.state : undefined;
}

/** The task that a client has to do for a run, as the ledger says; `null` when there is none. */
export function openTask(run: LedgerRun, clientId: string, now: number): Task | null {
  if (participation(run.state, clientId) !== 'assigned') return null;
  return taskOf(run.state, run.state.rounds.at(-1)!, clientId, roundDeadline(run, now)).task;
}
