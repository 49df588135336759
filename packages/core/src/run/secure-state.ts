import { SECURE_DROPPED_OUT } from '../errors.ts';
import type { SecureKeys, SecureShares, SecureUnmask } from '../federation/secure-messages.ts';
import type { RunEvent } from './events.ts';
import { IllegalTransitionError } from './illegal-transition.ts';
import { hasEnough } from './next-action.ts';
import type { Participant, Participation, RoundState } from './state.ts';

/** The stages of a round with secure aggregation, in order; all of them while the round's phase is `training`. */
export type SecureStage =
  /** Clients make keys known. */
  | 'keys'
  /** They deal shares of their secrets to their neighbours. */
  | 'shares'
  /** They train, and send masked updates. */
  | 'training'
  /** It is fixed whose updates are in the sum; they take the masks off it. */
  | 'unmask';

/** What the server knows of a round's secrets: nothing that opens a single update. */
export interface SecureState {
  readonly stage: SecureStage;
  /** Of everybody who made keys known. */
  readonly keys: ReadonlyMap<string, SecureKeys>;
  /** With the stage of shares: from which follows who shares masks with whom, among those whose keys were known then. */
  readonly graph?: { readonly seed: string; readonly degree: number; readonly members: readonly string[] };
  /** Sealed, by the client that dealt them. */
  readonly shares: ReadonlyMap<string, SecureShares>;
  /** With the stage of training: who masks its update; everybody's shares have been passed on to its neighbours among them. */
  readonly members: readonly string[];
  /** What was given to take masks off, by client; `null`: it refused. */
  readonly answers: ReadonlyMap<string, SecureUnmask | null>;
}

type SecureEvent = Extract<RunEvent, { type: 'secure-keys-advertised' | 'secure-shares-dealt' | 'secure-unmasked' | 'secure-stage-opened' }>;
const ORDER: readonly SecureStage[] = ['keys', 'shares', 'training', 'unmask'];

/** Where a round with secure aggregation begins. */
export function beginSecure(): SecureState {
  return { stage: 'keys', keys: new Map(), shares: new Map(), members: [], answers: new Map() };
}

/** Whether a round is at a stage of secure aggregation. */
export function isStage({ secure }: Pick<RoundState, 'secure'>, stage: SecureStage): boolean {
  return secure?.stage === stage;
}

/** Folds an event of secure aggregation into the round that is open. @throws IllegalTransitionError when it is not possible now */
export function applySecureEvent(round: RoundState, event: SecureEvent): RoundState {
  const { secure } = round;
  if (secure === undefined) throw new IllegalTransitionError(`${event.type} in round ${round.round}, which has no secure aggregation`);
  switch (event.type) {
    case 'secure-keys-advertised':
      return { ...round, secure: { ...secure, keys: answered(round, event, 'keys', secure.keys, 'assigned', event.keys) } };
    case 'secure-shares-dealt':
      return { ...round, secure: { ...secure, shares: answered(round, event, 'shares', secure.shares, 'assigned', event.shares) } };
    case 'secure-unmasked':
      return { ...round, secure: { ...secure, answers: answered(round, event, 'unmask', secure.answers, 'accepted', event.answer) } };
    case 'secure-stage-opened':
      return openStage(round, secure, event);
  }
}

function answered<T>(
  round: RoundState,
  { clientId }: { readonly clientId: string },
  stage: SecureStage,
  before: ReadonlyMap<string, T>,
  needed: Participation['state'],
  answer: T,
): ReadonlyMap<string, T> {
  const state = round.participants.get(clientId)?.outcome.state;
  if (!isStage(round, stage) || state !== needed || before.has(clientId)) {
    throw new IllegalTransitionError(`round ${round.round}: an answer of client ${clientId} (${state ?? 'no part in it'}) for the stage ${stage}`);
  }
  return new Map(before).set(clientId, answer);
}

function openStage(round: RoundState, secure: SecureState, { stage, members, graph }: Extract<SecureEvent, { type: 'secure-stage-opened' }>): RoundState {
  const illegal = (why: string): IllegalTransitionError => new IllegalTransitionError(`round ${round.round}: the stage ${stage} cannot begin: ${why}`);
  if (ORDER.indexOf(stage) !== ORDER.indexOf(secure.stage) + 1) throw illegal(`the round is at ${secure.stage}`);
  const present = new Set(members);
  const needed = stage === 'unmask' ? 'accepted' : 'assigned';
  const sent = stage === 'shares' ? secure.keys : stage === 'training' ? secure.shares : null;
  for (const member of members) {
    if (round.participants.get(member)?.outcome.state !== needed || sent?.has(member) === false) throw illegal(`client ${member} is not ready for it`);
  }
  if (stage === 'unmask' && [...round.participants].some(([clientId, { outcome }]) => outcome.state === 'accepted' && !present.has(clientId))) throw illegal('an update that counts is left out');
  if ((stage === 'shares') !== (graph !== undefined)) throw illegal('a graph belongs to the stage of shares');
  const isEnough = stage === 'unmask' && hasEnough(round);
  const participants = [...round.participants].map(([clientId, participant]): [string, Participant] => {
    const isOpen = participant.outcome.state === 'assigned' || participant.outcome.state === 'left';
    return [clientId, isOpen && !present.has(clientId) ? { ...participant, outcome: isEnough ? { state: 'unneeded' } : droppedOut(secure.stage) } : participant];
  });
  return {
    ...round,
    participants: new Map(participants),
    secure: { ...secure, stage, ...(graph !== undefined && { graph: { ...graph, members } }), ...(stage === 'training' && { members }) },
  };
}

function droppedOut(stage: SecureStage): Participation {
  return { state: 'refused', code: SECURE_DROPPED_OUT, message: `it had not answered when the stage ${stage} of secure aggregation was over` };
}
