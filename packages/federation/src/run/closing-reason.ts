import { allHeard, hasEnough, type RoundState, type RunEvent, type RunState } from '@zk0/core';

/** Why a round closes now; `null` while it stays open. */
export function closingReason(
  round: RoundState,
  minClients: number,
  now: number,
  deadline: number,
  graceEnd: number,
): 'all-in' | 'enough' | 'deadline' | null {
  if (hasEnough(round)) return 'enough';
  if (now >= deadline) return 'deadline';
  if (!allHeard(round)) return null;
  const outcomes = [...round.participants.values()].map(({ outcome }) => outcome.state);
  const accepted = outcomes.filter((state) => state === 'accepted').length;
  const lacksThoseWhoLeft = outcomes.includes('left') && accepted < Math.min(minClients, outcomes.length);
  return lacksThoseWhoLeft && now < graceEnd ? null : 'all-in';
}

/** The event that closes the round that is open; `null` while it stays open. */
export function closingEvent(
  { rounds, config }: Pick<RunState, 'rounds' | 'config'>,
  { now, deadline, graceEnd }: { readonly now: number; readonly deadline: number; readonly graceEnd: number },
): Extract<RunEvent, { type: 'round-closed' }> | null {
  const round = rounds.at(-1)!;
  const reason = closingReason(round, config.minClients, now, deadline, graceEnd);
  return reason === null ? null : { type: 'round-closed', round: round.round, reason };
}
