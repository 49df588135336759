import { clientLoss, errorMessage, type ClientPrincipal, type ResultReply, type RoundState, type RunEvent, type RunState, type TaskResult, versionsSince } from '@zk0/core';
import { UpdateRejectedError } from '@zk0/strategy';
import { pause, type Clock } from '../clock.ts';
import { FederationError } from '../errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FederationLog } from '../log.ts';
import { namingClient } from './naming-client.ts';
import type { IncomingUpdate } from './round-aggregator.ts';
import { isOfStage, settleStage } from './secure/intake.ts';

/** How long an update waits for the next buffered round to open, before its client is told to try again, in ms. */
const HOLD_MS = 10_000;

type UpdateEvent = Extract<RunEvent, { type: 'update-accepted' | 'update-refused' }>;

/** What taking in results needs of the run. */
export interface UpdateIntakeOptions {
  readonly runId: string;
  readonly ledger: Ledger;
  readonly log: FederationLog;
  readonly clock: Clock;
  /** @throws UpdateRejectedError when the update must not count. */
  readonly inspect: (state: RunState, update: IncomingUpdate) => Promise<void>;
  /** The client's task is settled. */
  readonly onSettled: (clientId: string, taskId: string) => Promise<void>;
}

/**
 * Takes in results: checks each update once, records what became of it, and recognises repeats and latecomers.
 * A result is settled by (run, round, client), so a client may send it as often as its connection needs.
 */
export class UpdateIntake {
  readonly #options: UpdateIntakeOptions;
  /** Results that are being checked: a repeat waits for the first one's answer. */
  readonly #checking = new Map<string, { readonly result: string; readonly reply: Promise<ResultReply> }>();

  constructor(options: UpdateIntakeOptions) {
    this.#options = options;
  }

  settle({ clientId }: ClientPrincipal, result: TaskResult): Promise<ResultReply> {
    const key = `${clientId}/${result.taskId}`;
    const text = JSON.stringify(result);
    const running = this.#checking.get(key);
    if (running !== undefined) {
      // Another result of the same client waits until the first one is settled, and is then late or a duplicate.
      return running.result === text ? running.reply : running.reply.then(() => this.settle({ role: 'client', clientId, instance: '' }, result));
    }
    const reply = this.#settle(clientId, result).finally(() => this.#checking.delete(key));
    this.#checking.set(key, { result: text, reply });
    return reply;
  }

  async #settle(clientId: string, result: TaskResult): Promise<ResultReply> {
    const { runId, ledger, log, inspect } = this.#options;
    const { round, outcome } = result;
    if (isOfStage(result)) return this.#settleStage(clientId, result);
    await this.#untilOpen(clientId, round);
    const state = (await ledger.run(runId))?.state;
    const known = state === undefined ? late(`run ${runId} is not running`) : verdict(state, clientId, result);
    if (known !== null) return known;
    if (!outcome.ok) {
      log.warn(`client ${clientId} failed: ${outcome.message}`, { round });
      return this.#record(clientId, result, { type: 'update-refused', round, clientId, code: outcome.code, message: outcome.message }, { status: 'accepted' });
    }
    const { update, control, numExamples, metrics } = outcome;
    if (update === undefined) return this.#refuse(clientId, result, 'UPDATE_MISSING', 'a fit result needs an update');
    const blobs = { update, ...(control !== undefined && { control }) };
    try {
      await inspect(state!, { clientId, ...blobs, numExamples, metrics });
    } catch (error) {
      if (error instanceof UpdateRejectedError) return this.#refuse(clientId, result, error.code, error.message);
      // Not the client's fault: it is told to try again, and the operator reads why.
      log.error(`round ${round}: the update of client ${clientId} could not be checked: ${errorMessage(error)}`, { error });
      throw error;
    }
    log.info(`client ${clientId}: update accepted, loss ${clientLoss(metrics)?.toFixed(4) ?? 'unknown'}`, { round });
    return this.#record(clientId, result, { type: 'update-accepted', round, clientId, ...blobs, numExamples, metrics, ...(await this.#took(round)) }, { status: 'accepted' });
  }

  /** Between two buffered rounds, an update waits for the next: it is then one of those that make the next parameters. */
  async #untilOpen(clientId: string, round: number): Promise<void> {
    const { runId, ledger, clock } = this.#options;
    const isBetween = async (): Promise<boolean> => {
      const state = (await ledger.run(runId))?.state;
      return state?.phase === 'running' && state.stopRequested === undefined && state.underWay?.get(clientId)?.task.round === round;
    };
    if (!(await isBetween())) return;
    const over = new AbortController();
    let wake: () => void = () => undefined;
    const unsubscribe = ledger.subscribe((entry) => {
      if (entry.runId === runId) wake();
    });
    const timeout = pause(clock, HOLD_MS, over.signal).then((isOver) => (isOver ? 'over' : 'done'));
    try {
      for (;;) {
        const changed = new Promise<'changed'>((resolve) => (wake = () => { resolve('changed'); }));
        if (!(await isBetween())) return;
        if ((await Promise.race([changed, timeout])) === 'over') {
          throw new FederationError('BUSY', `run ${runId}: no round is open at the moment`, { hint: 'Try again in a moment.' });
        }
      }
    } finally {
      unsubscribe();
      over.abort();
      await timeout;
    }
  }

  /** How long the task took, where the run plans by it. */
  async #took(round: number): Promise<{ readonly seconds?: number }> {
    const { runId, ledger, clock } = this.#options;
    const run = await ledger.run(runId);
    const from = run?.configuredAt[round - 1];
    if (from === undefined || run?.state.config.localStepsBySpeed === undefined) return {};
    return { seconds: Math.max(0, clock.now() - from.getTime()) / 1000 };
  }

  #refuse(clientId: string, result: TaskResult, code: string, message: string): Promise<ResultReply> {
    const { round } = result;
    this.#options.log.warn(`update refused: ${namingClient(clientId, message)}`, { round });
    return this.#record(clientId, result, { type: 'update-refused', round, clientId, code, message }, { status: 'rejected', code, message });
  }

  /** Records unless the round went on in the meantime: the state decides at the moment of writing. */
  async #record(clientId: string, result: TaskResult, event: UpdateEvent, reply: ResultReply): Promise<ResultReply> {
    const { runId, ledger, onSettled } = this.#options;
    let answer: ResultReply = reply;
    await ledger.record(runId, (state) => {
      const known = state === null ? late(`run ${runId} is not running`) : verdict(state, clientId, result);
      answer = known ?? reply;
      return known === null ? inOpenRound(state!, clientId, event) : null;
    });
    await onSettled(clientId, result.taskId);
    return answer;
  }

  /** A step of secure aggregation: settled at the moment of writing, too. */
  async #settleStage(clientId: string, result: TaskResult): Promise<ResultReply> {
    const { runId, ledger, onSettled, log } = this.#options;
    let answer: ResultReply = late(`run ${runId} is not running`);
    await ledger.record(runId, (state) => {
      if (state === null) return null;
      const { reply, event } = settleStage(state, clientId, result);
      answer = reply;
      return event;
    });
    const failure = result.outcome.ok ? (answer.status === 'rejected' ? (answer.message ?? '') : null) : result.outcome.message;
    if (failure !== null) log.warn(`secure aggregation: ${namingClient(clientId, failure)}`, { round: result.round });
    await onSettled(clientId, result.taskId);
    return answer;
  }
}

/** The event as one of the round that is open, which may be a later one than the task is of. */
function inOpenRound({ rounds }: RunState, clientId: string, event: UpdateEvent): UpdateEvent {
  const { round, participants } = rounds.at(-1)!;
  const began = participants.get(clientId)?.task?.round;
  return { ...event, round, ...(event.type === 'update-accepted' && began !== undefined && { began }) };
}

/** What is already settled about a result; `null` when it is to be checked. */
export function verdict(state: RunState, clientId: string, { round, taskId, attempt, outcome }: TaskResult): ResultReply | null {
  const current = roundOfTask(state, clientId, round);
  const participation = current?.participants.get(clientId)?.outcome;
  if (current === undefined || participation === undefined) {
    const versions = state.rounds[round - 1]?.buffered === true ? versionsSince(state, round) : 0;
    if (versions === 0) return late(`client ${clientId} has no part in round ${round}`);
    const message = `it began with the parameters of round ${round}, and ${versions} versions have come since: the run does not wait for it any more`;
    return { status: 'rejected', code: 'UPDATE_STALE', message };
  }
  if (taskId !== `${state.runId}/${round}/${clientId}` || attempt !== 1) return late(`task ${taskId} is not the one of round ${round}`);
  switch (participation.state) {
    case 'accepted': {
      const same = outcome.ok && outcome.update?.hash === participation.update.hash;
      return same ? { status: 'duplicate' } : late('another update of this client counts already');
    }
    case 'refused':
      return { status: 'rejected', code: participation.code, message: participation.message };
    case 'unneeded':
      return late(`round ${round} is closed: other clients gave the ${current.wanted ?? 0} updates that it wanted`);
    case 'left':
      return late(`client ${clientId} has left round ${round}`);
    case 'assigned': {
      const isOpen = current.phase === 'training' && state.phase === 'running' && state.stopRequested === undefined;
      return isOpen ? null : late(`round ${round} is closed`);
    }
  }
}

/** The round in which a client answers, or has answered, its task of `round`: a later one where rounds are buffered. */
function roundOfTask({ rounds }: RunState, clientId: string, round: number): RoundState | undefined {
  for (let index = rounds.length - 1; index >= round - 1; index--) {
    const candidate = rounds[index];
    const participant = candidate?.participants.get(clientId);
    if (participant !== undefined && (participant.task?.round ?? candidate?.round) === round) return candidate;
  }
  return undefined;
}

function late(message: string): ResultReply {
  return { status: 'late', message };
}
