import type { RoundState, RunState, SecureShares, SecureSharesTask, SecureStage, SecureUnmaskTask, Task } from '@zk0/core';
import { holdersOf } from '@zk0/secure-aggregation';
import { graphOf, neededOf, survivorsOf } from './record.ts';

/** A step of secure aggregation as a task; its name ends the task's id. */
export interface StageTask extends Pick<Task, 'kind' | 'instructions'> {
  readonly name: Exclude<SecureStage, 'training'>;
}

/** Whether a round waits for something of a client: its update, or its answer at the stage of secure aggregation. */
export function isWaitedFor({ participants, secure }: RoundState, clientId: string): boolean {
  const state = participants.get(clientId)?.outcome.state;
  switch (secure?.stage) {
    case 'keys':
      return state === 'assigned' && !secure.keys.has(clientId);
    case 'shares':
      return state === 'assigned' && !secure.shares.has(clientId);
    case 'unmask':
      return state === 'accepted' && !secure.answers.has(clientId);
    case 'training':
    case undefined:
      return state === 'assigned';
  }
}

/** What a client has to do beside training, at the stage of the newest round; `null`: nothing. */
export function stageTask(state: RunState, clientId: string): StageTask | null {
  const round = state.rounds.at(-1)!;
  const { secure } = round;
  switch (secure?.stage) {
    case 'keys':
      return { kind: 'secure-keys', name: 'keys', instructions: {} };
    case 'shares': {
      const neighbours = graphOf(secure).get(clientId) ?? [];
      const instructions: SecureSharesTask = {
        neighbours: Object.fromEntries(neighbours.map((other) => [other, secure.keys.get(other)!])),
        needed: neededOf(state, neighbours.length),
      };
      return { kind: 'secure-shares', name: 'shares', instructions };
    }
    case 'unmask': {
      const instructions: SecureUnmaskTask = unmaskRequest(round, clientId);
      return { kind: 'secure-unmask', name: 'unmask', instructions };
    }
    case 'training':
    case undefined:
      return null;
  }
}

/** Whose secrets a client is asked for: of those of whom it holds shares, who is in the sum, and who dropped out. */
export function unmaskRequest(round: RoundState, clientId: string): SecureUnmaskTask {
  const survivors = new Set(survivorsOf(round));
  const held = holdersOf(clientId, neighboursInRound(round, clientId));
  return { survivors: held.filter((other) => survivors.has(other)), dropped: held.filter((other) => !survivors.has(other)) };
}

/** The sealed shares that a client's training task brings: of its neighbours that take part. `null` in a round without secure aggregation. */
export function sharesFor(round: RoundState, clientId: string): SecureShares | null {
  if (round.secure === undefined) return null;
  const { shares } = round.secure;
  return Object.fromEntries(neighboursInRound(round, clientId).map((other) => [other, shares.get(other)![clientId]!]));
}

function neighboursInRound({ secure }: RoundState, clientId: string): string[] {
  const members = new Set(secure?.members);
  return secure === undefined ? [] : (graphOf(secure).get(clientId) ?? []).filter((other) => members.has(other));
}
