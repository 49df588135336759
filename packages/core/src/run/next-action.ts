import { stopReason } from './stop-rule.ts';
import type { SecureStage } from './secure-state.ts';
import { isFinal, type RoundState, type RunState } from './state.ts';

/** What a server has to do next for a run. Each leads to the journal entries that change the state. */
export type NextAction =
  | { readonly do: 'wait-for-clients' }
  | { readonly do: 'evaluate-baseline' }
  | { readonly do: 'configure-round'; readonly round: number }
  | { readonly do: 'collect-updates'; readonly round: number; readonly stage?: SecureStage }
  | { readonly do: 'aggregate'; readonly round: number }
  | { readonly do: 'evaluate'; readonly round: number }
  | { readonly do: 'checkpoint'; readonly round: number }
  /** All rounds are done, or (`early`) the run's stop rule says that it is complete before its last. */
  | { readonly do: 'finish'; readonly early?: string }
  /** An operator paused it, and no round is open. */
  | { readonly do: 'rest'; readonly reason: string }
  /** Somebody asked for the run's end. */
  | { readonly do: 'stop'; readonly reason: string }
  | { readonly do: 'nothing' };

/** The one next step. Pure, so a restarted server goes on exactly where the journal ends. */
export function nextAction(state: RunState): NextAction {
  if (isFinal(state)) return { do: 'nothing' };
  if (state.stopRequested !== undefined) return { do: 'stop', reason: state.stopRequested };
  if (state.phase === 'waiting_for_clients') return orRest(state, { do: 'wait-for-clients' });
  if (state.baseline === undefined) return { do: 'evaluate-baseline' };
  const last = state.rounds.at(-1);
  if (last === undefined) return orRest(state, { do: 'configure-round', round: 1 });
  switch (last.phase) {
    case 'training':
      return { do: 'collect-updates', round: last.round, ...(last.secure !== undefined && { stage: last.secure.stage }) };
    case 'aggregating':
      return { do: 'aggregate', round: last.round };
    case 'evaluating':
      return { do: 'evaluate', round: last.round };
    case 'checkpointing':
      return { do: 'checkpoint', round: last.round };
    case 'done':
    case 'skipped': {
      const early = last.round >= state.config.rounds ? null : stopReason(state);
      if (early !== null) return { do: 'finish', early };
      return last.round >= state.config.rounds ? { do: 'finish' } : orRest(state, { do: 'configure-round', round: last.round + 1 });
    }
  }
}

/** What begins something new waits while the run is paused. */
function orRest({ paused }: RunState, action: NextAction): NextAction {
  return paused === undefined ? action : { do: 'rest', reason: paused };
}

/** Whether no client of a round is waited for any longer: each has answered or left. */
export function allHeard(round: RoundState): boolean {
  return [...round.participants.values()].every(({ outcome }) => outcome.state !== 'assigned');
}

/** Whether a round that asked more clients than it needs has as many updates as it wants. */
export function hasEnough({ participants, wanted }: RoundState): boolean {
  if (wanted === undefined) return false;
  return [...participants.values()].filter(({ outcome }) => outcome.state === 'accepted').length >= wanted;
}

/** Whether something that is done every `every` rounds is due: every so often, and always in the last round. */
export function isDue(round: number, every: number, rounds: number): boolean {
  return round % every === 0 || round === rounds;
}
