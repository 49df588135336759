import { errorMessage, Zk0Error, type RunEvent } from '@zk0/core';
import type { Logger } from '@zk0/logger';
import type { ResultReply, TaskResult } from '@zk0/transport';
import { namingClient } from './naming-client.ts';
import type { RoundWork } from './round-work.ts';
import type { RunDriver } from './run-driver.ts';

/** A result as it came over the wire, with who sent it. */
export type ClientResult = TaskResult & { readonly clientId: string };

/**
 * Takes in results: checks each update once, journals what became of it, and recognises repeats and latecomers.
 * A result is settled by (run, round, client), so a client may send it as often as its connection needs.
 */
export class UpdateDesk {
  readonly #driver: RunDriver;
  readonly #work: RoundWork;
  readonly #log: Logger;
  /** Results that are being checked: a repeat waits for the first one's answer. */
  readonly #checking = new Map<string, Promise<ResultReply>>();

  constructor(options: { readonly driver: RunDriver; readonly work: RoundWork; readonly log: Logger }) {
    this.#driver = options.driver;
    this.#work = options.work;
    this.#log = options.log;
  }

  settle(result: ClientResult): Promise<ResultReply> {
    const key = `${result.round}/${result.clientId}`;
    const running = this.#checking.get(key);
    if (running !== undefined) return running;
    const answer = this.#settle(result).finally(() => this.#checking.delete(key));
    this.#checking.set(key, answer);
    return answer;
  }

  async #settle(result: ClientResult): Promise<ResultReply> {
    const known = this.#verdict(result);
    if (known !== null) return known;
    const { round, clientId, outcome } = result;
    if (!outcome.ok) {
      this.#log.warn(`client ${clientId} failed: ${outcome.message}`, { round });
      return this.#record({ type: 'update-refused', round, clientId, code: outcome.code, message: outcome.message }, { status: 'accepted' });
    }
    const { update, control, numExamples, metrics } = outcome;
    if (update === undefined) {
      return this.#refuse(result, 'UPDATE_MISSING', 'a fit result needs an update');
    }
    const blobs = { update, ...(control !== undefined && { control }) };
    try {
      await this.#work.inspect(this.#driver.state, { clientId, ...blobs, numExamples, metrics });
    } catch (error) {
      if (error instanceof Zk0Error) return this.#refuse(result, error.code, error.message);
      throw error;
    }
    // The round may have closed while the update was being read.
    const late = this.#verdict(result);
    if (late !== null) return late;
    this.#log.info(`client ${clientId}: update accepted, loss ${metrics['loss']?.toFixed(4) ?? 'unknown'}`, { round });
    return this.#record({ type: 'update-accepted', round, clientId, ...blobs, numExamples, metrics }, { status: 'accepted' });
  }

  /** What is already settled about a result; `null` when it is to be checked. */
  #verdict({ round, clientId, outcome }: ClientResult): ResultReply | null {
    const current = this.#driver.state.rounds[round - 1];
    const participation = current?.participants.get(clientId)?.outcome;
    if (current === undefined || participation === undefined) {
      return { status: 'late', message: `client ${clientId} has no part in round ${round}` };
    }
    if (participation.state === 'accepted') {
      const same = outcome.ok && outcome.update?.hash === participation.update.hash;
      return same ? { status: 'duplicate' } : { status: 'late', message: 'another update of this client counts already' };
    }
    if (participation.state === 'refused') {
      return { status: 'rejected', code: participation.code, message: participation.message };
    }
    if (participation.state === 'unneeded') {
      return { status: 'late', message: `round ${round} is closed: other clients gave the ${current.wanted ?? 0} updates that it wanted` };
    }
    return current.phase === 'training' ? null : { status: 'late', message: `round ${round} is closed` };
  }

  #refuse({ round, clientId }: ClientResult, code: string, message: string): ResultReply {
    this.#log.warn(`update refused: ${namingClient(clientId, message)}`, { round });
    return this.#record({ type: 'update-refused', round, clientId, code, message }, { status: 'rejected', code, message });
  }

  #record(event: Extract<RunEvent, { clientId: string }>, reply: ResultReply): ResultReply {
    try {
      this.#driver.record(event);
    } catch (error) {
      this.#log.error(`round ${event.round}: ${errorMessage(error)}`, { error });
      throw error;
    }
    this.#work.taskSettled(event.clientId);
    return reply;
  }
}
