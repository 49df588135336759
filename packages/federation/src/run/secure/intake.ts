import { secureKeysSchema, secureSharesSchema, secureUnmaskSchema, type ResultReply, type RoundState, type RunEvent, type RunState, type SecureKeys, type SecureStage, type SecureState, type TaskResult } from '@zk0/core';
import { isUsable } from '@zk0/secure-aggregation';
import { decode, graphOf } from './record.ts';
import { isWaitedFor, unmaskRequest } from './tasks.ts';

/** What becomes of a result: the answer to its client, and what is to be recorded. */
export interface StageSettlement {
  readonly reply: ResultReply;
  readonly event: RunEvent | null;
}

const STAGES = ['keys', 'shares', 'unmask'] as const satisfies readonly SecureStage[];
type Stage = (typeof STAGES)[number];

/** Whether a result is of a step of secure aggregation beside the training. */
export function isOfStage({ taskId }: Pick<TaskResult, 'taskId'>): boolean {
  return stageIn(taskId) !== undefined;
}

/** Settles the result of a step of secure aggregation, by what the run's state is at this moment. */
export function settleStage(state: RunState, clientId: string, { taskId, runId, round: of, attempt, outcome }: TaskResult): StageSettlement {
  const stage = stageIn(taskId)!;
  const round = state.rounds.at(-1);
  const late = (message: string): StageSettlement => ({ reply: { status: 'late', message }, event: null });
  if (round?.round !== of || taskId !== [runId, of, clientId, stage].join('/') || attempt !== 1) return late(`task ${taskId} is not one of the round that is open`);
  const { secure } = round;
  const isOpen = round.phase === 'training' && state.phase === 'running' && state.stopRequested === undefined;
  if (!isOpen || secure?.stage !== stage) {
    return secure !== undefined && hasAnswered(round, clientId, stage) ? { reply: { status: 'duplicate' }, event: null } : late(`the stage ${stage} of round ${of} is over`);
  }
  if (!isWaitedFor(round, clientId)) {
    return hasAnswered(round, clientId, stage) ? { reply: { status: 'duplicate' }, event: null } : late(`client ${clientId} has no part in the stage ${stage} of round ${of}`);
  }
  if (!outcome.ok) return { reply: { status: 'accepted' }, event: failed(round, clientId, stage, outcome.code, outcome.message) };
  const event = answerEvent(round, clientId, stage, outcome.answer);
  if (event !== null) return { reply: { status: 'accepted' }, event };
  const [code, message] = ['UPDATE_UNREADABLE', `its answer at the stage ${stage} of secure aggregation is not what was asked for`];
  return { reply: { status: 'rejected', code, message }, event: failed(round, clientId, stage, code, message) };
}

function stageIn(taskId: string): Stage | undefined {
  const [, , , name] = taskId.split('/').slice(-4);
  return STAGES.find((stage) => stage === name);
}

function hasAnswered({ secure }: RoundState, clientId: string, stage: Stage): boolean {
  return secure !== undefined && { keys: secure.keys, shares: secure.shares, unmask: secure.answers }[stage].has(clientId);
}

/** Before training, a client that fails is out of the round; after it, its update is in the sum, and others give what it does not. */
function failed({ round }: RoundState, clientId: string, stage: Stage, code: string, message: string): RunEvent {
  return stage === 'unmask' ? { type: 'secure-unmasked', round, clientId, answer: null } : { type: 'update-refused', round, clientId, code, message };
}

/** The answer as an event; `null` when it is not what was asked for. */
function answerEvent(round: RoundState, clientId: string, stage: Stage, answer: unknown): RunEvent | null {
  const named = { round: round.round, clientId };
  switch (stage) {
    case 'keys': {
      const { data: keys } = secureKeysSchema.safeParse(answer);
      return keys === undefined || !areUsable(keys, round.secure!) ? null : { type: 'secure-keys-advertised', ...named, keys };
    }
    case 'shares': {
      const { data: shares } = secureSharesSchema.safeParse((answer as { readonly shares?: unknown } | undefined)?.shares);
      const isWhole = shares !== undefined && hasExactly(shares, graphOf(round.secure!).get(clientId) ?? []);
      return isWhole ? { type: 'secure-shares-dealt', ...named, shares } : null;
    }
    case 'unmask': {
      const { data } = secureUnmaskSchema.safeParse(answer);
      const { survivors, dropped } = unmaskRequest(round, clientId);
      const isWhole = data !== undefined && hasExactly(data.seeds, survivors) && hasExactly(data.keys, dropped);
      return isWhole ? { type: 'secure-unmasked', ...named, answer: data } : null;
    }
  }
}

/** A key that others could not use, or that another client has, would keep them from taking part. */
function areUsable({ encryption, masking }: SecureKeys, { keys }: SecureState): boolean {
  const known = new Set([...keys.values()].flatMap((each) => [each.encryption, each.masking]));
  const own = [encryption, masking];
  return encryption !== masking && own.every((key) => !known.has(key) && isUsable(decode(key)));
}

function hasExactly(values: Readonly<Record<string, string>>, names: readonly string[]): boolean {
  return Object.keys(values).length === names.length && names.every((name) => Object.hasOwn(values, name));
}
