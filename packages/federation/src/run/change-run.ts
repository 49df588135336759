import { isFinal, type OperatorChange, type RunEvent, type RunState } from '@zk0/core';
import { FederationError } from '../errors.ts';
import type { Ledger } from '../ledger/ledger.ts';

/**
 * Records what an operator changes about a run; what is so already is left as it is.
 *
 * @param runId the run that is meant
 * @param isKnown whether a client of this name has joined the server
 * @throws FederationError `RUN_UNKNOWN`, `RUN_ENDED`, `CLIENT_UNKNOWN`
 */
export async function changeRun(ledger: Ledger, runId: string, change: OperatorChange, operator: string, isKnown: (clientId: string) => boolean): Promise<void> {
  const known = await ledger.run(runId);
  if (known !== null && change.change === 'exclude' && !isKnown(change.clientId) && !hasTakenPart(known.state, change.clientId)) {
    throw new FederationError('CLIENT_UNKNOWN', `client ${change.clientId} has not joined this server, and has had no part in run ${runId}`, {
      hint: 'See `zk0-server status` for the clients that there are.',
    });
  }
  await ledger.record(runId, (state) => {
    if (state === null) return null;
    if (isFinal(state)) throw new FederationError('RUN_ENDED', `run ${runId} is ${state.phase}: it cannot be changed any more`, { hint: 'See `zk0-server status` for the runs that go on.' });
    return eventOf(state, change, operator);
  });
}

function eventOf(state: RunState, change: OperatorChange, operator: string): RunEvent | null {
  switch (change.change) {
    case 'pause':
      return state.paused === undefined ? { type: 'run-paused', reason: `paused by ${operator}` } : null;
    case 'resume':
      return state.paused === undefined ? null : { type: 'run-resumed', reason: `resumed by ${operator}` };
    case 'exclude': {
      const { clientId } = change;
      return state.barred.has(clientId) ? null : { type: 'client-excluded', clientId, reason: `excluded by ${operator}` };
    }
    case 'readmit': {
      const { clientId } = change;
      return state.barred.has(clientId) ? { type: 'client-readmitted', clientId, reason: `readmitted by ${operator}` } : null;
    }
  }
}

function hasTakenPart({ clients, rounds }: RunState, clientId: string): boolean {
  return clients.includes(clientId) || rounds.some(({ participants }) => participants.has(clientId));
}
