import type { PageEvent, RunChange } from './events.ts';
import type { ParticipantView, RoundView, RunView, TallyView } from './view.ts';

/** Rounds whose participants are kept one by one. */
export const DETAILED_ROUNDS = 20;
/** Rounds that are kept; of longer runs every second, fourth … of the older half. */
export const MAX_ROUNDS = 2000;
/** Losses that are kept of all clients together, and of each at least. */
const MAX_LOSSES = 40_000;
const MIN_LOSSES = 40;

type RunEntry = Extract<PageEvent, { type: 'run' }>;
type Progress = Extract<PageEvent, { type: 'progress' }>;

/**
 * The run after the next entry of its history. Pure. An entry that is in the view already changes nothing, so that a view that was asked
 * for and a stream of entries can overlap.
 *
 * @param run - `null` before the first entry
 */
export function reduceRun(run: RunView | null, { runId, position, at, change }: RunEntry): RunView | null {
  if (change.type === 'created') return run ?? created(change, position, at);
  if (run?.runId !== runId || position <= run.position) return run;
  return { ...changed(run, change, at), position };
}

function created({ runId, config }: Extract<RunChange, { type: 'created' }>, position: number, at: number): RunView {
  return { runId, position, phase: 'waiting_for_clients', config, createdAt: at, datasets: [], rounds: [], tallies: new Map(), barred: new Map() };
}

function changed(run: RunView, change: Exclude<RunChange, { type: 'created' }>, at: number): RunView {
  switch (change.type) {
    case 'stop-requested':
      return { ...run, stopRequested: change.reason };
    case 'paused':
      return { ...run, paused: change.reason };
    case 'resumed': {
      const { paused, ...rest } = run;
      return paused === undefined ? run : rest;
    }
    case 'client-excluded':
      return { ...run, barred: new Map(run.barred).set(change.clientId, change.reason), rounds: replaceLast(run.rounds, (round) => withoutClient(round, change, at)) };
    case 'client-readmitted':
      return { ...run, barred: new Map([...run.barred].filter(([clientId]) => clientId !== change.clientId)) };
    case 'started':
      return { ...run, phase: 'running', startedAt: at, parameters: change.parameters, datasets: change.datasets };
    case 'configured':
      return { ...run, rounds: withRound(run.rounds, configured(change, at)) };
    case 'accepted': {
      const { clientId, examples, metrics } = change;
      const settled = { state: 'accepted', settledAt: at, examples, metrics } as const;
      return counted({ ...run, rounds: replaceLast(run.rounds, (round) => settle(round, clientId, settled)) }, change);
    }
    case 'refused':
      return {
        ...run,
        rounds: replaceLast(run.rounds, (round) => settle(round, change.clientId, { state: 'refused', settledAt: at, reason: change.reason })),
        tallies: tallied(run.tallies, change.clientId, (tally) => ({ ...tally, refused: tally.refused + 1 })),
      };
    case 'left':
      return { ...run, rounds: replaceLast(run.rounds, (round) => settle(round, change.clientId, { state: 'left', settledAt: at })) };
    case 'returned':
      return { ...run, rounds: replaceLast(run.rounds, (round) => settle(round, change.clientId, { state: 'assigned' })) };
    case 'stage':
      return { ...run, rounds: replaceLast(run.rounds, (round) => withoutDropouts(round, change, at)) };
    case 'step':
      return run;
    case 'closed':
      return { ...run, rounds: replaceLast(run.rounds, (round) => closed(round, change.reason, at)) };
    case 'aggregated':
      return { ...run, parameters: change.parameters, rounds: replaceLast(run.rounds, (round) => aggregated(round, change, at)) };
    case 'evaluated':
      return withoutWork(evaluated(run, change, at));
    case 'checkpointed':
      return { ...run, rounds: replaceLast(run.rounds, (round) => ({ ...round, phase: 'done', endedAt: at, checkpoint: change.path })) };
    case 'skipped':
      return { ...run, rounds: replaceLast(run.rounds, (round) => ({ ...round, phase: 'skipped', endedAt: at, skippedBecause: change.reason })) };
    case 'ended': {
      const { phase, message, checkpoint } = change;
      const ended: RunView = { ...withoutWork(run), phase, endedAt: at, ...(message !== undefined && { ending: message }) };
      if (checkpoint === undefined) return ended;
      const last = ended.rounds.findLast((round) => round.phase === 'done');
      return { ...ended, rounds: ended.rounds.map((round) => (round === last ? { ...round, checkpoint } : round)) };
    }
  }
}

function withoutWork(run: RunView): RunView {
  const { serverWork, ...rest } = run;
  return serverWork === undefined ? run : rest;
}

function configured({ round, assignments, batchSize, wanted, reasons }: Extract<RunChange, { type: 'configured' }>, at: number): RoundView {
  const participants = assignments.map(({ clientId, ...fit }): [string, ParticipantView] => [clientId, { clientId, state: 'assigned', ...fit, phases: [] }]);
  const learningRate = mostCommon(assignments.map((assignment) => assignment.learningRate));
  const proximalMu = mostCommon(assignments.map((assignment) => assignment.proximalMu));
  return {
    round,
    phase: 'training',
    startedAt: at,
    asked: assignments.length,
    accepted: 0,
    refused: 0,
    ...(wanted !== undefined && { wanted }),
    ...(learningRate !== undefined && { learningRate }),
    ...(proximalMu !== undefined && { proximalMu }),
    ...(batchSize !== undefined && { batchSize }),
    reasons,
    participants: new Map(participants),
  };
}

function settle(round: RoundView, clientId: string, change: Partial<ParticipantView>): RoundView {
  if (round.participants === null) return round;
  const known = round.participants.get(clientId);
  // In buffered rounds a client answers with a task of an earlier round.
  const isEarlier = known === undefined && (change.state === 'accepted' || change.state === 'refused');
  if (known === undefined && !isEarlier) return round;
  const participant: ParticipantView = known ?? { clientId, state: 'assigned', phases: [] };
  const next: ParticipantView = { ...participant, ...change };
  const participants = new Map(round.participants).set(clientId, next);
  const isAccepted = next.state === 'accepted';
  const accepted = round.accepted + (isAccepted ? 1 : 0);
  const loss = isAccepted ? lossOf(next) : undefined;
  const clientLoss = loss === undefined ? round.clientLoss : ((round.clientLoss ?? 0) * round.accepted + loss) / accepted;
  return {
    ...round,
    participants,
    asked: round.asked + (isEarlier ? 1 : 0),
    accepted,
    refused: round.refused + (next.state === 'refused' ? 1 : 0),
    ...(clientLoss !== undefined && { clientLoss }),
  };
}

/** In an open round an excluded client's part is over, also where its update had counted already. */
function withoutClient(round: RoundView, { clientId, reason }: { readonly clientId: string; readonly reason: string }, at: number): RoundView {
  const before = round.participants?.get(clientId);
  if (round.phase !== 'training' || before === undefined || before.state === 'refused') return round;
  const refused = settle(round, clientId, { state: 'refused', settledAt: at, reason });
  if (before.state !== 'accepted') return refused;
  const losses = [...refused.participants!.values()].flatMap((one) => (one.state === 'accepted' ? (lossOf(one) ?? []) : []));
  const { clientLoss, ...rest } = refused;
  const mean = losses.length === 0 || clientLoss === undefined ? {} : { clientLoss: losses.reduce((sum, loss) => sum + loss, 0) / losses.length };
  return { ...rest, accepted: round.accepted - 1, ...mean };
}

function lossOf({ metrics }: ParticipantView): number | undefined {
  return metrics?.policyLoss ?? metrics?.loss;
}

/** Those who had not answered when a stage of secure aggregation was over. */
function withoutDropouts(round: RoundView, { stage, members }: Extract<RunChange, { type: 'stage' }>, at: number): RoundView {
  const isEnough = stage === 'unmask' && round.wanted !== undefined && round.accepted >= round.wanted;
  const gone = [...(round.participants?.values() ?? [])].filter(({ clientId, state }) => (state === 'assigned' || state === 'left') && !members.includes(clientId));
  const change: Partial<ParticipantView> = isEnough ? { state: 'unneeded' } : { state: 'refused', settledAt: at, reason: 'it dropped out of the round' };
  return gone.reduce((after, { clientId }) => settle(after, clientId, change), round);
}

function closed(round: RoundView, reason: NonNullable<RoundView['closedBecause']>, at: number): RoundView {
  const isOpen = ({ state }: ParticipantView): boolean => state === 'assigned' || state === 'left';
  const participants = mapValues(round.participants, (participant) =>
    reason === 'enough' && isOpen(participant) ? { ...participant, state: 'unneeded' as const } : participant,
  );
  return { ...round, phase: 'aggregating', closedAt: at, closedBecause: reason, participants };
}

function aggregated(round: RoundView, change: Extract<RunChange, { type: 'aggregated' }>, at: number): RoundView {
  const { parameters, excluded, cosines, updateNorm, epsilon, delta, noiseMultiplier, clippingNorm } = change;
  const reasons = new Map(excluded.map(({ clientId, reason }) => [clientId, reason]));
  const participants = mapValues(round.participants, (participant) => {
    const reason = reasons.get(participant.clientId);
    const cosine = cosines[participant.clientId];
    const compared = cosine === undefined ? participant : { ...participant, cosine };
    return reason === undefined ? compared : { ...compared, state: 'excluded' as const, reason };
  });
  return {
    ...round,
    phase: 'evaluating',
    aggregatedAt: at,
    parameters,
    ...(updateNorm !== undefined && { updateNorm }),
    ...(epsilon !== undefined && { epsilon }),
    ...(delta !== undefined && { delta }),
    ...(noiseMultiplier !== undefined && { noiseMultiplier }),
    ...(clippingNorm !== undefined && { clippingNorm }),
    participants,
  };
}

function evaluated(run: RunView, { round, evaluation }: Extract<RunChange, { type: 'evaluated' }>, at: number): RunView {
  if (round > 0) return { ...run, rounds: replaceLast(run.rounds, (last) => ({ ...last, phase: 'checkpointing', evaluatedAt: at, evaluation })) };
  const initial: RoundView = {
    round: 0,
    phase: 'done',
    startedAt: run.startedAt ?? at,
    evaluatedAt: at,
    endedAt: at,
    asked: 0,
    accepted: 0,
    refused: 0,
    reasons: [],
    ...(run.parameters !== undefined && { parameters: run.parameters }),
    evaluation,
    participants: new Map(),
  };
  return { ...run, rounds: withRound(run.rounds, initial) };
}

function counted(run: RunView, { round, clientId, metrics }: Extract<RunChange, { type: 'accepted' }>): RunView {
  const { batchSize } = run.rounds.at(-1) ?? {};
  const { steps, trainSeconds } = metrics;
  const speed = batchSize !== undefined && steps !== undefined && trainSeconds !== undefined && trainSeconds > 0 ? (steps * batchSize) / trainSeconds : undefined;
  const loss = metrics.policyLoss ?? metrics.loss;
  const limit = 2 * Math.max(MIN_LOSSES, Math.floor(MAX_LOSSES / Math.max(1, run.tallies.size)));
  const tallies = tallied(run.tallies, clientId, (tally) => ({
    ...tally,
    rounds: tally.rounds + 1,
    bytesUp: tally.bytesUp + (metrics.bytesUp ?? 0),
    bytesDown: tally.bytesDown + (metrics.bytesDown ?? 0),
    ...(speed !== undefined && { samplesPerSecond: speed }),
    losses: loss === undefined ? tally.losses : thinned([...tally.losses, round, loss], limit),
  }));
  return { ...run, tallies };
}

/** Every second pair is left out once there are too many, the newest one never. */
function thinned(pairs: readonly number[], limit: number): readonly number[] {
  if (pairs.length <= limit) return pairs;
  const count = pairs.length / 2;
  return pairs.filter((_, index) => (count - 1 - Math.floor(index / 2)) % 2 === 0);
}

function tallied(tallies: RunView['tallies'], clientId: string, change: (tally: TallyView) => TallyView): RunView['tallies'] {
  const before = tallies.get(clientId) ?? { clientId, rounds: 0, refused: 0, bytesUp: 0, bytesDown: 0, losses: [] };
  return new Map(tallies).set(clientId, change(before));
}

/** Notes that a client is at another kind of work, for the timeline of the round that is open. */
export function reduceRunProgress(run: RunView, { clientId, round, phase, at }: Progress): RunView {
  const last = run.rounds.at(-1);
  const participant = last?.round === round ? last.participants?.get(clientId) : undefined;
  if (participant?.state !== 'assigned' || participant.phases.length >= 8 || participant.phases.some((known) => known.phase === phase)) return run;
  const phases = [...participant.phases, { phase, at }];
  return { ...run, rounds: replaceLast(run.rounds, (open) => ({ ...open, participants: new Map(open.participants).set(clientId, { ...participant, phases }) })) };
}

function withRound(rounds: readonly RoundView[], round: RoundView): readonly RoundView[] {
  const next = [...rounds, round];
  const past = next.at(-1 - DETAILED_ROUNDS);
  if (past !== undefined) next[next.length - 1 - DETAILED_ROUNDS] = { ...past, participants: null };
  if (next.length <= MAX_ROUNDS) return next;
  // Checkpoints stay: they are what people come back for.
  const half = next.length / 2;
  return next.filter(({ checkpoint }, index) => index >= half || index % 2 === 0 || checkpoint != null);
}

function replaceLast(rounds: readonly RoundView[], change: (round: RoundView) => RoundView): readonly RoundView[] {
  const last = rounds.at(-1);
  return last === undefined ? rounds : [...rounds.slice(0, -1), change(last)];
}

function mapValues(participants: RoundView['participants'], change: (participant: ParticipantView) => ParticipantView): RoundView['participants'] {
  return participants === null ? null : new Map([...participants].map(([clientId, participant]) => [clientId, change(participant)]));
}

function mostCommon(values: readonly (number | undefined)[]): number | undefined {
  const counts = new Map<number, number>();
  for (const value of values) if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0];
}
