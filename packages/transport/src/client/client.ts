import {
  CancelledError,
  clientIdSchema,
  MAX_TEXT,
  Heartbeat,
  type HeartbeatMessage,
  type HeartbeatOptions,
  type HeartbeatReply,
  type JoinMessage,
  type ReportMessage,
  type ResultReply,
  type Task,
  type TaskResult,
  type Zk0Error,
} from '@zk0/core';
import { RemoteError, TransportError } from '../errors.ts';
import { decodeEnvelope, encodeMessage, MESSAGE_CONTENT_TYPE, parse } from '../protocol/codec.ts';
import { CLIENT_HEADER, INSTANCE_HEADER, PATHS, SERVER_HEADER } from '../protocol/http.ts';
import { PENDING, REPLY_SCHEMAS, REQUEST_SCHEMAS, type ReplyBodies, type RequestBodies, type RequestType } from '../protocol/messages.ts';
import type { BlobStore } from '@zk0/storage';
import { requestSigner } from '../signature/sign.ts';
import { Http } from './http.ts';
import { Pieces } from './pieces.ts';
import { Retrier } from './retry.ts';
import { download } from './transfer.ts';
import type { ByteCounts, ConnectOptions, DownloadOptions, TransferOptions, TransportClient } from './types.ts';
import { upload } from './upload.ts';

/** `leave` is a courtesy: it does not hold up the end of a process. */
const LEAVE_TIMEOUT_MS = 2000;
/** Before a transfer goes on at a server that had forgotten this client, in ms. */
const REJOIN_PAUSE_MS = 200;
/** Answers that are none yet come after the server's own wait; a server that gives them at once is not asked faster, in ms. */
const MIN_INTERVAL_MS = 1000;

/**
 * Makes a client; nothing is sent yet.
 *
 * @throws TransportError for an address that cannot be one, a bad client id or instance.
 */
export function connect(options: ConnectOptions): TransportClient {
  return new HttpTransportClient(options);
}

class HttpTransportClient implements TransportClient {
  readonly #http: Http;
  readonly #retrier: Retrier;
  readonly #pieces = new Pieces();
  readonly #closed = new AbortController();
  #introduction: JoinMessage | undefined;
  /** Calls of `poll` under way. */
  #polls = 0;
  #taken: ByteCounts = { bytesUp: 0, bytesDown: 0 };

  constructor(options: ConnectOptions) {
    const identity = {
      [CLIENT_HEADER]: parse(clientIdSchema, options.clientId, 'client id'),
      [INSTANCE_HEADER]: parse(clientIdSchema, options.instance, 'instance'),
      ...(options.enrolment === undefined ? {} : { [SERVER_HEADER]: options.enrolment.serverId }),
    };
    const sign = options.enrolment === undefined ? undefined : requestSigner(options.enrolment.key);
    this.#retrier = new Retrier(options.retry ?? {}, (state) => options.onConnectionState?.(state));
    this.#http = new Http({ ...options, headers: identity, sign }, () => {
      this.#retrier.contact();
    });
  }

  get bytesUp(): number {
    return this.#http.bytesUp;
  }

  get bytesDown(): number {
    return this.#http.bytesDown;
  }

  takeByteCounts(): ByteCounts {
    const { bytesUp, bytesDown } = this.#http;
    const counts = { bytesUp: bytesUp - this.#taken.bytesUp, bytesDown: bytesDown - this.#taken.bytesDown };
    this.#taken = { bytesUp, bytesDown };
    return counts;
  }

  async join(message: JoinMessage, signal?: AbortSignal): Promise<void> {
    await this.#introduce(message, signal);
    this.#introduction = message;
  }

  async poll(signal?: AbortSignal): Promise<Task | null> {
    const until = this.#until(signal);
    this.#polls++;
    try {
      for (;;) {
        const begun = performance.now();
        const { task } = await this.#ask('poll', {}, until);
        if (task !== null) return task;
        const early = MIN_INTERVAL_MS - (performance.now() - begun);
        if (early > 0) await this.#retrier.pause('poll', early, until);
      }
    } catch (error) {
      if (error instanceof CancelledError && signal?.aborted === true) return null;
      throw error;
    } finally {
      this.#polls--;
    }
  }

  async heartbeat({ progress }: HeartbeatMessage = {}): Promise<HeartbeatReply> {
    if (progress === undefined) return this.#rejoining('heartbeat', {}, this.#until());
    const { loss, ...rest } = progress;
    const finite = loss !== undefined && Number.isFinite(loss) ? { loss } : {};
    return this.#rejoining('heartbeat', { progress: { ...rest, ...finite } }, this.#until());
  }

  async report(message: ReportMessage, signal?: AbortSignal): Promise<void> {
    await this.#exchange('report', message, this.#until(signal));
  }

  async result(result: TaskResult, signal?: AbortSignal): Promise<ResultReply> {
    const { outcome } = result;
    const told = outcome.ok ? outcome : { ...outcome, message: outcome.message.slice(0, MAX_TEXT) };
    return this.#ask('result', { ...result, outcome: told }, this.#until(signal));
  }

  startHeartbeat(options: HeartbeatOptions = {}): Heartbeat {
    const { message = () => ({}) } = options;
    return new Heartbeat((said) => this.heartbeat(said), {
      ...options,
      message: () => (this.#polls > 0 ? null : message()),
      signal: this.#until(options.signal),
    });
  }

  async leave(): Promise<void> {
    await this.#exchange('leave', {}, this.#until(AbortSignal.timeout(LEAVE_TIMEOUT_MS)));
  }

  async download(hash: string, byteLength: number, blobs: BlobStore, options: DownloadOptions = {}): Promise<void> {
    const signal = this.#until(options.signal);
    await this.#known(signal, () => download(this.#http, this.#retrier, { hash, byteLength }, blobs, { ...options, signal }));
  }

  async upload(hash: string, blobs: BlobStore, options: TransferOptions = {}): Promise<void> {
    const signal = this.#until(options.signal);
    await this.#known(signal, () => upload(this.#http, this.#retrier, this.#pieces, hash, blobs, { ...options, signal }));
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#http.close();
  }

  async #introduce(introduction: JoinMessage, signal: AbortSignal | undefined): Promise<void> {
    const until = this.#until(signal);
    const reply = await this.#retrier.run('join', until, () => this.#exchange('join', introduction, until));
    if (reply.accepted) return;
    throw new RemoteError(reply.code, reply.message, 200, reply.hint === undefined ? {} : { hint: reply.hint });
  }

  /** Asks until there is an answer. */
  #ask<T extends RequestType>(type: T, body: RequestBodies[T], signal: AbortSignal): Promise<ReplyBodies[T]> {
    return this.#retrier.run(type, signal, () => this.#rejoining(type, body, signal));
  }

  /** Transfers; a server that has forgotten this client (it was restarted) is told again who it is, and the transfer goes on. */
  async #known(signal: AbortSignal, transfer: () => Promise<void>): Promise<void> {
    try {
      await transfer();
    } catch (error) {
      if ((error as Zk0Error).code !== 'NOT_JOINED' || this.#introduction === undefined) throw error;
      await this.#introduce(this.#introduction, signal);
      await this.#retrier.pause('transfer', REJOIN_PAUSE_MS, signal);
      await this.#known(signal, transfer);
    }
  }

  /** Asks once; a server that has forgotten this client is told again who it is. */
  async #rejoining<T extends RequestType>(type: T, body: RequestBodies[T], signal: AbortSignal): Promise<ReplyBodies[T]> {
    try {
      return await this.#exchange(type, body, signal);
    } catch (error) {
      if ((error as Zk0Error).code !== 'NOT_JOINED' || this.#introduction === undefined) throw error;
      await this.#introduce(this.#introduction, signal);
      return this.#exchange(type, body, signal);
    }
  }

  async #exchange<T extends RequestType>(type: T, body: RequestBodies[T], signal: AbortSignal): Promise<ReplyBodies[T]> {
    const message = encodeMessage(type, parse(REQUEST_SCHEMAS[type], body, type));
    for (;;) {
      const begun = performance.now();
      const reply = await this.#http.send({
        method: 'POST',
        path: PATHS.messages,
        headers: { 'content-type': MESSAGE_CONTENT_TYPE },
        body: message,
        signal,
      });
      const envelope = decodeEnvelope(await reply.bytes());
      if (envelope.type === type) return parse(REPLY_SCHEMAS[type], envelope.body, `reply to ${type}`);
      if (envelope.type !== PENDING) {
        throw new TransportError('MESSAGE_INVALID', `the server answered ${type} with ${envelope.type}`);
      }
      // The server is still at work on this very message.
      const early = MIN_INTERVAL_MS - (performance.now() - begun);
      if (early > 0) await this.#retrier.pause(type, early, signal);
    }
  }

  #until(signal?: AbortSignal): AbortSignal {
    return signal === undefined ? this.#closed.signal : AbortSignal.any([signal, this.#closed.signal]);
  }
}
