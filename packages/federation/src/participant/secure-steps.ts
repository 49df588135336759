import {
  secureSharesTaskSchema,
  secureUnmaskTaskSchema,
  type BlobReference,
  type FitResult,
  type JsonObject,
  type Metrics,
  type Parameters,
  type SecureUnmaskTask,
  type Task,
} from '@zk0/core';
import { advertise, answerUnmask, dealShares, drawSecrets, keyPairOf, masksOf, openShare, SecureAggregationError, type MemberSecrets, type PublicKeys, type Seat, type SharePair } from '@zk0/secure-aggregation';
import type { BlobStore } from '@zk0/storage';
import { FederationError } from '../errors.ts';
import type { FitTask } from '../run/instructions.ts';
import { decode, decodeAll, decodeKeys, encode, encodeAll, sumContext } from '../run/secure/record.ts';
import { advertisedKeys, trustedKeys, type MemberTrust } from './known-members.ts';
import { maskUpdate } from './mask-update.ts';
import type { SecretStore, SecureRound } from './secret-store.ts';

/** A masked update, and what is said with it. */
export interface SentUpdate {
  readonly update: BlobReference;
  readonly numExamples: number;
  readonly metrics: Metrics;
}

/**
 * A client's part of secure aggregation, step by step. What each step comes to is kept before it is sent, and a step that is asked for again
 * gives the same again; what could open this client's update is refused, whatever the server says.
 */
export class SecureSteps {
  readonly #store: SecretStore;
  readonly #trust: MemberTrust;

  constructor(store: SecretStore, trust: MemberTrust = {}) {
    this.#store = store;
    this.#trust = trust;
  }

  /** The answer to a step beside the training. @throws SecureAggregationError, FederationError when it is refused */
  async answer(task: Task): Promise<JsonObject> {
    switch (task.kind) {
      case 'secure-keys':
        return { ...advertisedKeys(this.#seat(task), advertise(secretsOf(await this.#begin(task))), this.#trust) };
      case 'secure-shares':
        return { shares: await this.#deal(task) };
      case 'secure-unmask':
        return this.#unmask(task);
      case 'fit':
      case 'evaluate':
        throw unreadable(task);
    }
  }

  /**
   * The masked update of a round that was sent, or was about to be, before this client was started again; `null`: there is none.
   *
   * @throws SecureAggregationError when it is gone: another one under the same masks would tell the two apart.
   */
  async sentBefore(task: Task, blobs: BlobStore): Promise<SentUpdate | null> {
    const { sent } = await this.#current(task);
    if (sent === undefined) return null;
    if (await blobs.has(sent.update.hash)) return sent;
    throw new SecureAggregationError('SECURE_REQUEST_REFUSED', `round ${task.round}: this client has masked its update already, and does not have it any more`, {
      hint: 'It takes part again from the next round on.',
    });
  }

  /** Masks a round's update and puts it into the store; `null` in a run without secure aggregation. */
  async mask(task: Task, { masking, inbox = {} }: FitTask, global: Parameters, result: FitResult, blobs: BlobStore): Promise<SentUpdate | null> {
    if (masking === undefined) return null;
    const round = await this.#current(task);
    const secrets = secretsOf(round);
    if (round.dealt === undefined) throw outOfOrder(task);
    const { neighbours, needed, own } = round.dealt;
    const present = new Map<string, PublicKeys>();
    const held: [string, SharePair][] = [[this.#store.clientId, { seed: decode(own.seed), key: decode(own.key) }]];
    for (const [from, sealed] of decodeAll(inbox)) {
      const known = neighbours[from];
      if (known === undefined) throw new SecureAggregationError('SECURE_REQUEST_REFUSED', `round ${task.round}: ${from} is no neighbour of this client`);
      const keys = decodeKeys(known);
      held.push([from, openShare(this.#seat(task), secrets, from, keys, sealed)]);
      present.set(from, keys);
    }
    const masks = masksOf(this.#seat(task), secrets, present, needed);
    // Before anything leaves: what others trust this client with is asked for after a restart, too.
    await this.#store.keep({ ...round, held: Object.fromEntries(held.map(([name, { seed, key }]) => [name, { seed: encode(seed), key: encode(key) }])) });
    const { bytes, clipped } = await maskUpdate({ global, trained: result.parameters, weight: result.numExamples, masking, masks });
    // A norm says of this one update what its masks hide; the weight is in the sum, under the masks.
    const metrics = Object.fromEntries(Object.entries(result.metrics).filter(([name, value]) => Number.isFinite(value) && !name.endsWith('_norm')));
    return { update: await blobs.put(bytes), numExamples: 1, metrics: { ...metrics, num_clipped: clipped } };
  }

  /** Keeps what is about to be sent. */
  async keepSent(task: Task, sent: SentUpdate): Promise<void> {
    const { update: { hash, byteLength }, numExamples, metrics } = sent;
    await this.#store.keep({ ...(await this.#current(task)), sent: { update: { hash, byteLength }, numExamples, metrics: { ...metrics } } });
  }

  /** The server has what it asked for: nobody needs the secrets of this round any more. */
  async over(task: Task): Promise<void> {
    const { current } = await this.#store.read();
    if (current?.runId === task.runId && current.round === task.round) await this.#store.forget();
  }

  /** The secrets of a round: those that were drawn for it, or new ones. @throws SecureAggregationError for a round that has begun before */
  async #begin({ runId, round }: Task): Promise<SecureRound> {
    const { begun, current } = await this.#store.read();
    if (current?.runId === runId && current.round === round) return current;
    const last = begun.find(([known]) => known === runId)?.[1] ?? -1;
    if (last >= round) {
      throw new SecureAggregationError('SECURE_REQUEST_REFUSED', `round ${round} begins a second time: between two sums of one round lies the update of one client`, {
        hint: 'Ask the operator of the server: an honest one does not begin a round twice.',
      });
    }
    const { encryption, masking, seed } = drawSecrets();
    const made: SecureRound = { runId, round, secrets: { encryption: encode(encryption.privateKey), masking: encode(masking.privateKey), seed: encode(seed) } };
    await this.#store.keep(made);
    return made;
  }

  async #deal(task: Task): Promise<Record<string, string>> {
    const { success, data } = secureSharesTaskSchema.safeParse(task.instructions);
    if (!success) throw unreadable(task);
    const round = await this.#current(task);
    if (round.dealt !== undefined) {
      if (sameKeys(round.dealt.neighbours, data.neighbours) && round.dealt.needed === data.needed) return round.dealt.sealed;
      throw new SecureAggregationError('SECURE_REQUEST_REFUSED', `round ${task.round}: the server names other neighbours than before`);
    }
    const seat = this.#seat(task);
    const { own, sealed } = dealShares(seat, secretsOf(round), trustedKeys(seat.context, data.neighbours, this.#trust), data.needed);
    const dealt = { needed: data.needed, neighbours: data.neighbours, sealed: encodeAll(sealed), own: { seed: encode(own.seed), key: encode(own.key) } };
    await this.#store.keep({ ...round, dealt });
    return dealt.sealed;
  }

  async #unmask(task: Task): Promise<JsonObject> {
    const { success, data: request } = secureUnmaskTaskSchema.safeParse(task.instructions);
    if (!success) throw unreadable(task);
    const round = await this.#current(task);
    const { held, dealt, sent, asked = null } = round;
    if (held === undefined || dealt === undefined || sent === undefined) throw outOfOrder(task);
    const shares = new Map(Object.entries(held).map(([name, { seed, key }]) => [name, { seed: decode(seed), key: decode(key) }]));
    const { seeds, keys } = answerUnmask(this.#seat(task), shares, dealt.needed, request, asked);
    if (asked === null) await this.#store.keep({ ...round, asked: request satisfies SecureUnmaskTask });
    return { seeds: encodeAll(seeds), keys: encodeAll(keys) };
  }

  /** @throws SecureAggregationError when this client has no secrets of the task's round */
  async #current({ runId, round }: Task): Promise<SecureRound> {
    const { current } = await this.#store.read();
    if (current?.runId === runId && current.round === round) return current;
    throw new SecureAggregationError('SECURE_REQUEST_REFUSED', `round ${round}: this client has no secrets of it`, { hint: 'It takes part again from the next round on.' });
  }

  #seat({ runId, round }: Task): Seat {
    return { context: sumContext(runId, round), member: this.#store.clientId };
  }
}

function secretsOf({ secrets }: SecureRound): MemberSecrets {
  return { encryption: keyPairOf(decode(secrets.encryption)), masking: keyPairOf(decode(secrets.masking)), seed: decode(secrets.seed) };
}

function sameKeys(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  const sorted = (keys: Readonly<Record<string, unknown>>): string => JSON.stringify(Object.entries(keys).sort());
  return sorted(a) === sorted(b);
}

function unreadable({ round }: Task): FederationError {
  return new FederationError('TASK_UNKNOWN', `round ${round}: the server sent a step of secure aggregation that this client cannot read`, { hint: 'Run the same zk0 release on both sides.' });
}

function outOfOrder({ round, kind }: Task): SecureAggregationError {
  return new SecureAggregationError('SECURE_REQUEST_REFUSED', `round ${round}: ${kind} comes before the steps that it follows from`, { hint: 'Ask the operator of the server: an honest one keeps to the order.' });
}
