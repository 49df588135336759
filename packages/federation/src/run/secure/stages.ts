import { allHeard, type RoundState, type RunEvent, type RunState, type SecureState } from '@zk0/core';
import { degreeFor, hasEnoughSurvivors, isRecoverable, MIN_HOLDERS } from '@zk0/secure-aggregation';
import { closingReason } from '../closing-reason.ts';
import { graphOf, neededOf, sumRecord, survivorsOf } from './record.ts';
import { isWaitedFor } from './tasks.ts';

/** When things are over, in ms since the epoch, and what nobody could foresee. */
export interface StageTimes {
  readonly now: number;
  /** Of the round. */
  readonly deadline: number;
  /** Of the stage, unless it is training. */
  readonly stageDeadline: number;
  /** Until when a round that lacks clients waits for those who left. */
  readonly graceEnd: number;
  /** Where the order of the graph comes from. */
  readonly graphSeed: string;
}

/**
 * The event that ends the stage at which the newest round is: the next stage begins, or the round closes, too few being left or all being done.
 * A function of the ledger and the time; `null` while the stage goes on.
 */
export function nextStageEvent(state: RunState, times: StageTimes): RunEvent | null {
  const round = state.rounds.at(-1)!;
  const secure = round.secure!;
  switch (secure.stage) {
    case 'keys':
    case 'shares':
      return afterExchange(state, round, secure, times);
    case 'training': {
      const reason = closingReason(round, neededUpdates(state, round), times.now, times.deadline, times.graceEnd);
      if (reason === null) return null;
      const survivors = survivorsOf(round);
      if (survivors.length < neededUpdates(state, round) || !hasEnoughSurvivors(sumRecord(state))) {
        // As many as the round wants may be too few to take the masks off: it waits for more then.
        if (reason === 'enough' && !allHeard(round) && times.now < times.deadline) return null;
        return { type: 'round-closed', round: round.round, reason: times.now < times.deadline ? 'all-in' : 'deadline' };
      }
      return { type: 'secure-stage-opened', round: round.round, stage: 'unmask', members: survivors };
    }
    case 'unmask': {
      const survivors = survivorsOf(round);
      const isAnswered = survivors.every((clientId) => !isWaitedFor(round, clientId));
      const answered = new Set([...secure.answers].flatMap(([clientId, answer]) => (answer === null ? [] : [clientId])));
      if (isAnswered || isRecoverable(sumRecord(state), answered)) return { type: 'round-closed', round: round.round, reason: 'all-in' };
      return times.now < times.stageDeadline ? null : { type: 'round-closed', round: round.round, reason: 'deadline' };
    }
  }
}

/** Updates that a round needs: as many as the run says, and never so few that one could be told from the sum. */
export function neededUpdates({ config }: Pick<RunState, 'config'>, { participants }: RoundState): number {
  return Math.max(MIN_HOLDERS, Math.min(config.minClients, participants.size));
}

/** Who is not in the round any more after an event, for people. */
export function dropouts(before: RunState, after: RunState): string[] {
  const stage = before.rounds.at(-1)?.secure?.stage;
  return [...(after.rounds.at(-1)?.participants ?? [])].flatMap(([clientId, { outcome }]) => {
    const isNew = outcome.state === 'refused' && before.rounds.at(-1)?.participants.get(clientId)?.outcome.state !== 'refused';
    return isNew && stage !== undefined ? [`client ${clientId} dropped out at the stage ${stage} of secure aggregation`] : [];
  });
}

function afterExchange(state: RunState, round: RoundState, secure: SecureState, { now, deadline, stageDeadline, graceEnd, graphSeed }: StageTimes): RunEvent | null {
  const end = Math.min(deadline, stageDeadline);
  if (now < end && [...round.participants.keys()].some((clientId) => isWaitedFor(round, clientId))) return null;
  const sent = secure.stage === 'keys' ? secure.keys : secure.shares;
  const ready = [...round.participants].flatMap(([clientId, { outcome }]) => (outcome.state === 'assigned' && sent.has(clientId) ? [clientId] : []));
  const members = secure.stage === 'keys' ? ready : withEnoughHolders(state, secure, ready);
  if (members.length < neededUpdates(state, round)) {
    const mayReturn = [...round.participants.values()].some(({ outcome }) => outcome.state === 'left') && now < Math.min(end, graceEnd);
    return mayReturn ? null : { type: 'round-closed', round: round.round, reason: now < end ? 'all-in' : 'deadline' };
  }
  if (secure.stage === 'shares') return { type: 'secure-stage-opened', round: round.round, stage: 'training', members };
  const { threshold, neighbours } = state.config.secureAggregation!;
  const degree = Math.min(neighbours ?? degreeFor(members.length, { threshold }), members.length - 1);
  return { type: 'secure-stage-opened', round: round.round, stage: 'shares', members, graph: { seed: graphSeed, degree } };
}

/** Members of whom enough others hold shares that take part, too: the secrets of others could not be recovered, and they would not mask. */
function withEnoughHolders(state: RunState, secure: SecureState, ready: readonly string[]): string[] {
  const graph = graphOf(secure);
  let members = [...ready];
  for (;;) {
    const present = new Set(members);
    const kept = members.filter((member) => {
      const neighbours = graph.get(member)!;
      return 1 + neighbours.filter((other) => present.has(other)).length >= Math.max(MIN_HOLDERS, neededOf(state, neighbours.length));
    });
    if (kept.length === members.length) return kept;
    members = kept;
  }
}
