import { clientLoss, errorMessage, type ClientPrincipal, type ResultReply, type RunEvent, type RunState, type TaskResult } from '@zk0/core';
import { UpdateRejectedError } from '@zk0/strategy';
import type { Ledger } from '../ledger/ledger.ts';
import type { FederationLog } from '../log.ts';
import { namingClient } from './naming-client.ts';
import type { IncomingUpdate } from './round-aggregator.ts';

/** What taking in results needs of the run. */
export interface UpdateIntakeOptions {
  readonly runId: string;
  readonly ledger: Ledger;
  readonly log: FederationLog;
  /** @throws UpdateRejectedError when the update must not count. */
  readonly inspect: (state: RunState, update: IncomingUpdate) => Promise<void>;
  /** The client's task is settled. */
  readonly onSettled: (clientId: string) => Promise<void>;
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
    const key = `${result.round}/${clientId}`;
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
    return this.#record(clientId, result, { type: 'update-accepted', round, clientId, ...blobs, numExamples, metrics }, { status: 'accepted' });
  }

  #refuse(clientId: string, result: TaskResult, code: string, message: string): Promise<ResultReply> {
    const { round } = result;
    this.#options.log.warn(`update refused: ${namingClient(clientId, message)}`, { round });
    return this.#record(clientId, result, { type: 'update-refused', round, clientId, code, message }, { status: 'rejected', code, message });
  }

  /** Records unless the round went on in the meantime: the state decides at the moment of writing. */
  async #record(clientId: string, result: TaskResult, event: RunEvent, reply: ResultReply): Promise<ResultReply> {
    const { runId, ledger, onSettled } = this.#options;
    let answer: ResultReply = reply;
    await ledger.record(runId, (state) => {
      const known = state === null ? late(`run ${runId} is not running`) : verdict(state, clientId, result);
      answer = known ?? reply;
      return known === null ? event : null;
    });
    await onSettled(clientId);
    return answer;
  }
}

/** What is already settled about a result; `null` when it is to be checked. */
export function verdict(state: RunState, clientId: string, { round, taskId, attempt, outcome }: TaskResult): ResultReply | null {
  const current = state.rounds[round - 1];
  const participation = current?.participants.get(clientId)?.outcome;
  if (current === undefined || participation === undefined) return late(`client ${clientId} has no part in round ${round}`);
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

function late(message: string): ResultReply {
  return { status: 'late', message };
}
