import { CLIENT_EXCLUDED } from '../errors.ts';
import type { RunEvent } from './events.ts';
import { hasEnough } from './next-action.ts';
import { IllegalTransitionError } from './illegal-transition.ts';
import { applySecureEvent, beginSecure, isStage } from './secure-state.ts';
import { isFinal, type Participant, type Participation, type RoundPhase, type RoundState, type RunState } from './state.ts';

/**
 * Folds one event into a run's state. Pure: the same journal always gives the same state.
 *
 * @throws IllegalTransitionError when the event is not possible now, so that no update is counted twice, none after its
 * round closed, and a finished round never changes.
 */
export function applyRunEvent(state: RunState | null, event: RunEvent): RunState {
  if (event.type === 'run-created') {
    if (state !== null) throw new IllegalTransitionError(`run ${event.runId} exists already`);
    return {
      runId: event.runId,
      config: event.config,
      phase: 'waiting_for_clients',
      context: null,
      clients: [],
      initialParameters: null,
      parameters: null,
      strategyState: null,
      strategyScalars: {},
      rounds: [],
      barred: new Map(),
    };
  }
  if (state === null) throw new IllegalTransitionError(`${event.type} before run-created`);
  if (isFinal(state)) throw new IllegalTransitionError(`${event.type} after the run ${state.phase}`);
  switch (event.type) {
    case 'run-stop-requested':
      return state.stopRequested === undefined ? { ...state, stopRequested: event.reason } : state;
    case 'run-paused':
      return state.paused === undefined ? { ...state, paused: event.reason } : state;
    case 'run-resumed':
      return resume(state);
    case 'client-excluded':
      return bar(state, event);
    case 'client-readmitted': {
      const barred = new Map(state.barred);
      barred.delete(event.clientId);
      return { ...state, barred };
    }
    case 'run-started':
      if (state.phase !== 'waiting_for_clients') throw new IllegalTransitionError('the run started twice');
      return {
        ...state,
        phase: 'running',
        initialParameters: event.parameters,
        parameters: event.parameters,
        context: event.context,
        clients: event.clients ?? [],
      };
    case 'run-finished':
    case 'run-failed':
    case 'run-stopped':
      return end(state, event);
    case 'round-configured':
      return configure(state, event);
    case 'round-evaluated':
      if (event.round === 0) {
        if (state.phase !== 'running' || state.baseline !== undefined || state.rounds.length > 0) {
          throw new IllegalTransitionError('the baseline is evaluated once, before the first round');
        }
        return { ...state, baseline: event.evaluation };
      }
      return advance(state, event.round, 'evaluating', { phase: 'checkpointing', evaluation: event.evaluation });
    case 'update-accepted':
    case 'update-refused':
      return settle(state, event);
    case 'participant-left':
      return changeParticipation(state, event, 'assigned', { state: 'left' });
    case 'participant-returned':
      return changeParticipation(state, event, 'left', { state: 'assigned' });
    case 'secure-keys-advertised':
    case 'secure-shares-dealt':
    case 'secure-unmasked':
    case 'secure-stage-opened':
      return replaceLast(state, applySecureEvent(currentRound(state, event.round, 'training'), event));
    case 'round-closed':
      return close(state, event);
    case 'round-aggregated': {
      const { round, parameters, published, strategyState, strategyScalars, metrics, excluded, cosines } = event;
      const aggregate = { parameters, metrics, excluded, ...(cosines !== undefined && { cosines }) };
      const next = withoutSecure(advance(state, round, 'aggregating', { phase: 'evaluating', aggregate }));
      return { ...next, parameters, ...(published !== undefined && { published }), strategyState, strategyScalars };
    }
    case 'round-checkpointed':
      return advance(state, event.round, 'checkpointing', { phase: 'done', checkpoint: event.path });
    case 'round-skipped':
      return withoutSecure(advance(state, event.round, 'aggregating', { phase: 'skipped', skippedBecause: event.reason }));
  }
}

/** The state after a whole journal. */
export function replay(events: Iterable<RunEvent>): RunState | null {
  let state: RunState | null = null;
  for (const event of events) state = applyRunEvent(state, event);
  return state;
}

function resume(state: RunState): RunState {
  const next: { -readonly [name in keyof RunState]: RunState[name] } = { ...state };
  delete next.paused;
  return next;
}

/** In an open round the client's part is over, whatever it has sent, and so is what it has under way; a round that is closed stands as it is. */
function bar(before: RunState, { clientId, reason }: Extract<RunEvent, { type: 'client-excluded' }>): RunState {
  const barred = new Map(before.barred).set(clientId, reason);
  const underWay = before.underWay === undefined ? {} : { underWay: new Map([...before.underWay].filter(([other]) => other !== clientId)) };
  const state = { ...before, ...underWay };
  const current = state.rounds.at(-1);
  const participant = current?.participants.get(clientId);
  // Once it is fixed whose updates are in the sum, nobody can be taken out of it.
  const isFixed = current?.phase !== 'training' || isStage(current, 'unmask');
  if (isFixed || participant === undefined || participant.outcome.state === 'refused') return { ...state, barred };
  const outcome: Participation = { state: 'refused', code: CLIENT_EXCLUDED, message: reason };
  return replaceLast({ ...state, barred }, { ...current, participants: new Map(current.participants).set(clientId, { ...participant, outcome }) });
}

function end(state: RunState, event: Extract<RunEvent, { type: 'run-finished' | 'run-failed' | 'run-stopped' }>): RunState {
  if (event.type === 'run-failed') {
    return { ...state, phase: 'failed', ending: { code: event.code, message: event.message } };
  }
  if (event.type === 'run-stopped') return { ...state, phase: 'stopped', ending: { code: 'STOPPED', message: event.reason } };
  const last = state.rounds.at(-1);
  const { early } = event;
  if ((last !== undefined && !isRoundFinal(last.phase)) || (early === undefined && last?.round !== state.config.rounds)) {
    throw new IllegalTransitionError(`the run finished after round ${last?.round ?? 0} of ${state.config.rounds}`);
  }
  return { ...state, phase: 'finished', ...(early !== undefined && { ending: { code: 'FINISHED_EARLY', message: early } }) };
}

function configure(state: RunState, event: Extract<RunEvent, { type: 'round-configured' }>): RunState {
  const last = state.rounds.at(-1);
  const expected = (last?.round ?? 0) + 1;
  if (state.phase !== 'running' || event.round !== expected || (last && !isRoundFinal(last.phase))) {
    throw new IllegalTransitionError(`round ${event.round} cannot be configured: round ${expected} is next`);
  }
  if (state.baseline === undefined) throw new IllegalTransitionError('round 1 before the baseline evaluation');
  const { underWay, ...rest } = state;
  const goOn = stillUnderWay(underWay, event.buffered);
  const participants = new Map<string, Participant>(goOn.map(([clientId, { instructions, task }]) => [clientId, { instructions, outcome: { state: 'assigned' }, task }]));
  for (const { clientId, instructions } of event.assignments) participants.set(clientId, { instructions, outcome: { state: 'assigned' } });
  if (participants.size !== goOn.length + event.assignments.length) throw new IllegalTransitionError('a client was assigned twice');
  const wanted = event.wanted === undefined ? {} : { wanted: event.wanted };
  const buffered = event.buffered === undefined ? {} : { buffered: true as const };
  const secure = state.config.secureAggregation === undefined ? {} : { secure: beginSecure() };
  return { ...rest, rounds: [...state.rounds, { round: event.round, phase: 'training', participants, ...wanted, ...buffered, ...secure }] };
}

/** Those who train on into a round that is configured. */
function stillUnderWay(underWay: RunState['underWay'], buffered: Extract<RunEvent, { type: 'round-configured' }>['buffered']): [string, NonNullable<RunState['underWay']> extends ReadonlyMap<string, infer T> ? T : never][] {
  if (underWay === undefined || buffered === undefined) return [];
  const dropped = new Set(buffered.dropped.map(({ clientId }) => clientId));
  for (const clientId of dropped) {
    if (!underWay.has(clientId)) throw new IllegalTransitionError(`client ${clientId} was dropped, and had no task`);
  }
  return [...underWay].filter(([clientId]) => !dropped.has(clientId));
}

function close(state: RunState, { round, reason }: Extract<RunEvent, { type: 'round-closed' }>): RunState {
  const current = currentRound(state, round, 'training');
  const closed = { ...current, phase: 'aggregating', closedBecause: reason } as const;
  if (reason !== 'enough') return replaceLast(state, closed);
  if (!hasEnough(current)) throw new IllegalTransitionError(`round ${round} closed early, without the updates that it wants`);
  if (current.buffered === true) {
    const answered = [...current.participants].filter(([, { outcome }]) => outcome.state !== 'assigned');
    const begun = { round, parameters: state.published?.parameters ?? state.parameters! };
    const others = [...current.participants].filter(([, { outcome }]) => outcome.state === 'assigned');
    const underWay = new Map(others.map(([clientId, { instructions, task = begun }]) => [clientId, { instructions, task }]));
    return { ...replaceLast(state, { ...closed, participants: new Map(answered) }), underWay };
  }
  const participants = [...current.participants].map(([clientId, participant]) => {
    const isOpen = participant.outcome.state === 'assigned' || participant.outcome.state === 'left';
    const outcome: Participation = isOpen ? { state: 'unneeded' } : participant.outcome;
    return [clientId, { ...participant, outcome }] as const;
  });
  return replaceLast(state, { ...closed, participants: new Map(participants) });
}

function settle(state: RunState, event: Extract<RunEvent, { type: 'update-accepted' | 'update-refused' }>): RunState {
  const outcome: Participation =
    event.type === 'update-accepted'
      ? {
          state: 'accepted',
          update: event.update,
          ...(event.control !== undefined && { control: event.control }),
          numExamples: event.numExamples,
          metrics: event.metrics,
          ...(event.seconds !== undefined && { seconds: event.seconds }),
        }
      : { state: 'refused', code: event.code, message: event.message };
  const current = state.rounds.at(-1);
  if (event.type === 'update-accepted' && current?.secure !== undefined && !isStage(current, 'training')) {
    throw new IllegalTransitionError(`round ${event.round}: an update of client ${event.clientId} at the stage ${current.secure.stage}`);
  }
  const began = current?.participants.get(event.clientId)?.task?.round;
  if (event.type === 'update-accepted' && event.began !== began) {
    throw new IllegalTransitionError(`round ${event.round}: the task of client ${event.clientId} is of round ${began ?? event.round}, not ${event.began ?? event.round}`);
  }
  return changeParticipation(state, event, 'assigned', outcome);
}

function changeParticipation(
  state: RunState,
  { round, clientId }: { readonly round: number; readonly clientId: string },
  from: Participation['state'],
  outcome: Participation,
): RunState {
  const current = currentRound(state, round, 'training');
  const participant = current.participants.get(clientId);
  if (participant?.outcome.state !== from) {
    const why = participant === undefined ? 'has no part in it' : `is ${participant.outcome.state} already`;
    throw new IllegalTransitionError(`round ${round}: client ${clientId} ${why}`);
  }
  const participants = new Map(current.participants).set(clientId, { ...participant, outcome });
  return replaceLast(state, { ...current, participants });
}

function advance(state: RunState, round: number, from: RoundPhase, change: Partial<RoundState>): RunState {
  return replaceLast(state, { ...currentRound(state, round, from), ...change });
}

function currentRound(state: RunState, round: number, phase: RoundPhase): RoundState {
  const current = state.rounds.at(-1);
  if (current?.round !== round || current.phase !== phase) {
    const where = current === undefined ? 'no round' : `round ${current.round} (${current.phase})`;
    throw new IllegalTransitionError(`round ${round} is not ${phase}: the run is at ${where}`);
  }
  return current;
}

/** What secure aggregation knew of a round, nobody needs after it. */
function withoutSecure(state: RunState): RunState {
  const { secure, ...round } = state.rounds.at(-1)!;
  return secure === undefined ? state : replaceLast(state, round);
}

function replaceLast(state: RunState, round: RoundState): RunState {
  return { ...state, rounds: [...state.rounds.slice(0, -1), round] };
}

function isRoundFinal(phase: RoundPhase): boolean {
  return phase === 'done' || phase === 'skipped';
}
