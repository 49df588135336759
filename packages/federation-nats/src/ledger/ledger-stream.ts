import { errorMessage } from '@zk0/core';
import { FederationError } from '@zk0/federation';
import { DeliverPolicy, DiscardPolicy, JetStreamApiError, RetentionPolicy, StorageType, type JsMsg, type StoredMsg, type StreamConfig } from '@nats-io/jetstream';
import { nanos, type MsgHdrs } from '@nats-io/transport-node';
import { setTimeout as wait } from 'node:timers/promises';
import { BackendError } from '../errors.ts';
import type { NatsLink } from '../nats/connection.ts';
import { toToken } from '../nats/subject-token.ts';

/** Version of what the stream holds, in its metadata. A release refuses a newer one. */
export const LEDGER_STREAM_VERSION = 1;

const VERSION_KEY = 'zk0-ledger-version';
const STREAM_NOT_FOUND = 10_059;
/** Retries of one append with the same id fall into this time, so that the server itself recognises them. */
const DUPLICATE_WINDOW_MS = 120_000;
/** Messages of one batched read. */
const BATCH = 256;
/** Between two looks at a replica that lags, in ms. */
const LAG_PAUSE_MS = 20;
/** Between two attempts to follow the stream, in ms. */
const WATCH_PAUSE_MS = 500;

/** What a subject of the stream holds. */
export type SubjectKind = 'run' | 'note' | 'secret';

/** The stream that holds the histories of a federation's runs, one subject each, with notes on them and their secrets. */
export class LedgerStream {
  readonly #link: NatsLink;
  readonly name: string;
  readonly #prefix: string;

  private constructor(link: NatsLink) {
    this.#link = link;
    const { federation } = link.address;
    this.name = `zk0-${federation}-ledger`;
    this.#prefix = `zk0.${federation}.ledger`;
  }

  /**
   * Finds the stream, or makes it.
   *
   * @throws FederationError `LEDGER_VERSION`; BackendError `BACKEND_UNSUITABLE` for a stream that forgets; what `natsError` gives
   */
  static async open(link: NatsLink): Promise<LedgerStream> {
    const stream = new LedgerStream(link);
    stream.#check(await link.attempt(() => stream.#findOrMake()));
    return stream;
  }

  subject(kind: SubjectKind, runId: string): string {
    return `${this.#prefix}.${kind}.${toToken(runId)}`;
  }

  /** How many messages each subject has, as the stream's leader knows it. */
  async counts(): Promise<ReadonlyMap<string, number>> {
    const { state } = await this.#link.attempt(() => this.#link.jsm.streams.info(this.name, { subjects_filter: `${this.#prefix}.>` }));
    return new Map(Object.entries(state.subjects ?? {}));
  }

  /** The newest message of a subject, as the stream's leader knows it; `null` when there is none. */
  last(subject: string): Promise<StoredMsg | null> {
    return this.#link.attempt(() => this.#link.jsm.streams.getMessage(this.name, { last_by_subj: subject }));
  }

  /** The messages of a subject from one of the stream's sequences to another, which must exist: a replica that lags is waited for. */
  read(subject: string, from: number, to: number): Promise<readonly StoredMsg[]> {
    const found: StoredMsg[] = [];
    let next = from;
    return this.#link.attempt(async () => {
      while (next <= to) {
        const before = next;
        const batch = await this.#link.jsm.direct.getBatch(this.name, { seq: next, next_by_subj: subject, batch: BATCH });
        for await (const message of batch) {
          if (message.seq > to) break;
          found.push(message);
          next = message.seq + 1;
        }
        if (next === before) {
          await wait(LAG_PAUSE_MS);
          throw new Error(`a replica of ${this.name} lags`);
        }
      }
      return found;
    });
  }

  /**
   * Appends a message if the subject's newest is the one named (0: if it has none); durable, on as many servers as the stream has replicas,
   * when the promise resolves. Repeated with the same id while no answer comes: it is there once.
   *
   * @returns the stream's sequence.
   * @throws a conflict as the NATS client has it; FederationError `EVENT_INVALID` for what is too large
   */
  async append(subject: string, id: string, payload: Uint8Array, messageHeaders: MsgHdrs, expected: number): Promise<number> {
    const headerBytes = [...messageHeaders].reduce((sum, [key, values]) => sum + values.reduce((all, value) => all + key.length + value.length + 4, 0), 64);
    const { maxBytes } = this.#link;
    if (payload.byteLength + headerBytes > maxBytes) {
      throw new FederationError('EVENT_INVALID', `${this.#link.address.text}: an entry of ${payload.byteLength} bytes is too large for the NATS server, which takes ${maxBytes}`, {
        hint: 'Raise max_payload of nats-server (up to 64 MB).',
      });
    }
    const { seq } = await this.#link.attempt(() =>
      this.#link.js.publish(subject, payload, { msgID: id, headers: messageHeaders, expect: { streamName: this.name, lastSubjectSequence: expected } }),
    );
    return seq;
  }

  /**
   * Follows what is appended from now on.
   *
   * @param onMessage gets the subject and headers of each message; `null` when the watch begins, and when messages may have been missed.
   * @returns what ends it.
   */
  watch(onMessage: (message: Pick<JsMsg, 'subject' | 'headers'> | null) => void): () => Promise<void> {
    const closing = new AbortController();
    const isOpen = (): boolean => !closing.signal.aborted;
    let stop: () => void = () => undefined;
    const follow = async (): Promise<void> => {
      while (isOpen()) {
        try {
          const consumer = await this.#link.js.consumers.get(this.name, { filter_subjects: `${this.#prefix}.run.*`, deliver_policy: DeliverPolicy.New, headers_only: true });
          const messages = await consumer.consume();
          stop = () => { messages.stop(); };
          if (!isOpen()) stop();
          onMessage(null);
          for await (const message of messages) onMessage(message);
        } catch (error) {
          if (isOpen()) this.#link.log.debug(`the ledger cannot be followed at the moment: ${errorMessage(error)}`);
        }
        await wait(WATCH_PAUSE_MS, undefined, { signal: closing.signal }).catch(() => undefined);
      }
    };
    const following = follow();
    return async () => {
      closing.abort();
      stop();
      await following;
    };
  }

  async #findOrMake(): Promise<StreamConfig> {
    const { jsm, address } = this.#link;
    try {
      return (await jsm.streams.info(this.name)).config;
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== STREAM_NOT_FOUND) throw error;
    }
    const made = await jsm.streams.add({
      name: this.name,
      description: 'Histories of the runs of a zk0 federation; back it up.',
      subjects: [`${this.#prefix}.>`],
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      num_replicas: address.replicas,
      // A full stream refuses what is new; nothing that was written is ever given up for it.
      discard: DiscardPolicy.New,
      deny_delete: true,
      deny_purge: true,
      allow_direct: true,
      duplicate_window: nanos(DUPLICATE_WINDOW_MS),
      metadata: { [VERSION_KEY]: String(LEDGER_STREAM_VERSION) },
    });
    return made.config;
  }

  #check({ metadata, max_age: maxAge, max_msgs_per_subject: maxPerSubject, discard, allow_direct: allowDirect }: StreamConfig): void {
    const { text } = this.#link.address;
    const version = Number(metadata?.[VERSION_KEY] ?? Number.NaN);
    if (version > LEDGER_STREAM_VERSION) {
      throw new FederationError('LEDGER_VERSION', `${text}: the ledger has format ${version}, this release reads up to ${LEDGER_STREAM_VERSION}`, {
        hint: 'Run the release that wrote it, or a newer one.',
      });
    }
    if (Number.isNaN(version) || maxAge > 0 || maxPerSubject > 0 || discard !== DiscardPolicy.New || !allowDirect) {
      throw new BackendError('BACKEND_UNSUITABLE', `${text}: the stream ${this.name} is not one that this program made, or its limits would remove the history of runs`, {
        hint: 'Undo the change of its limits, or name another federation in the address.',
      });
    }
  }
}
