import type { Participation, RunState, Task } from '@zk0/core';
import type { LedgerRun } from '../ledger/ledger.ts';
import { clientTask, taskUnderWay } from './client-task.ts';

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
  const deadline = roundDeadline(run, now);
  const { state } = run;
  const underWay = state.phase === 'running' ? state.underWay?.get(clientId) : undefined;
  if (underWay !== undefined) return taskUnderWay(state, underWay, clientId, deadline).task;
  return participation(state, clientId) === undefined ? null : (clientTask(state, clientId, deadline)?.task ?? null);
}
