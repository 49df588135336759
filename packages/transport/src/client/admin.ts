import { errorMessage, jsonObjectSchema, type JsonObject, type OperatorChange } from '@zk0/core';
import * as z from 'zod';
import { isTransportErrorCode, RemoteError, TransportError } from '../errors.ts';
import { parse } from '../protocol/codec.ts';
import { PATHS } from '../protocol/http.ts';
import { errorReplySchema } from '../protocol/messages.ts';
import { readEventStream } from './event-stream.ts';
import { Http, type HttpOptions } from './http.ts';

/** An operator's line to a server. One attempt a call: an operator wants to know at once. */
export interface AdminClient {
  status(signal?: AbortSignal): Promise<JsonObject>;
  /** @throws RemoteError when the configuration is refused, with the application's code and hint. */
  submitRun(config: JsonObject, signal?: AbortSignal): Promise<{ readonly runId: string }>;
  /** Stops the run named, or the one that is running. */
  stop(runId?: string, signal?: AbortSignal): Promise<{ readonly runId: string }>;
  /** Pauses or resumes a run, excludes a client from it or readmits it. @throws RemoteError `RUN_UNKNOWN`, `RUN_ENDED`, `CLIENT_UNKNOWN` */
  change(change: OperatorChange, signal?: AbortSignal): Promise<{ readonly runId: string }>;
  /**
   * Events as they happen. Ends with the server's stream or with `signal`, and throws when the line breaks.
   */
  follow(options?: FollowOptions): AsyncGenerator<JsonObject, void>;
  /**
   * The server's log, or a run's, as text.
   *
   * @throws RemoteError `LOG_NOT_FOUND`, `NOT_FOUND` by a server that shows no logs
   */
  log(options: LogOptions): AsyncGenerator<Uint8Array, void>;
  close(): Promise<void>;
}

/** What to follow. */
export interface FollowOptions {
  /** One run; all of them when absent. */
  readonly runId?: string;
  /** Begin with what has happened to that run so far. */
  readonly history?: boolean;
  readonly signal?: AbortSignal;
  /** The server listens for this follower now: nothing that happens from here on is missed. */
  readonly onConnected?: () => void;
}

/** Which part of a log to read. */
export interface LogOptions {
  /** One run's log; the server's own when absent. */
  readonly runId?: string;
  /** Lines from the end to begin with; 0: all. */
  readonly lines: number;
  /** Go on with what is added, until `signal` aborts. */
  readonly follow: boolean;
  readonly signal?: AbortSignal;
}

/** Options of {@link adminClient}. */
export type AdminClientOptions = HttpOptions;

const LINE_BREAK = 0x0a;

const runIdSchema = z.object({ runId: z.string().min(1) });

/** Makes an operator's client; nothing is sent yet. */
export function adminClient(options: AdminClientOptions): AdminClient {
  const http = new Http(options);

  const json = async (method: 'GET' | 'POST', path: string, body?: JsonObject, signal?: AbortSignal): Promise<unknown> => {
    const reply = await http.send({
      method,
      path,
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(body)) }),
      signal,
    });
    return parseJson(Buffer.from(await reply.bytes()).toString('utf8'));
  };

  async function* log({ runId, lines, follow: isFollowed, signal }: LogOptions): AsyncGenerator<Uint8Array, void> {
    const query = new URLSearchParams({ ...(runId !== undefined && { runId }), lines: String(lines), ...(isFollowed && { follow: '1' }) });
    try {
      const reply = await http.send({ method: 'GET', path: `${PATHS.logs}?${query.toString()}`, signal });
      // An empty line now and then shows that the connection stands; a log has none.
      for await (const chunk of reply.chunks()) if (chunk.byteLength > 1 || chunk[0] !== LINE_BREAK) yield chunk;
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  }

  async function* follow({ runId, history, signal, onConnected }: FollowOptions = {}): AsyncGenerator<JsonObject, void> {
    const query = runId === undefined ? '' : `?runId=${encodeURIComponent(runId)}${history === true ? '&history=1' : ''}`;
    try {
      const reply = await http.send({ method: 'GET', path: PATHS.events + query, signal });
      onConnected?.();
      for await (const { event, data } of readEventStream(reply.chunks())) {
        if (event === 'error') throw remoteError(parseJson(data));
        yield parse(jsonObjectSchema, parseJson(data), 'event');
      }
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  }

  return {
    status: async (signal) => parse(jsonObjectSchema, await json('GET', PATHS.status, undefined, signal), 'status'),
    submitRun: async (config, signal) => parse(runIdSchema, await json('POST', PATHS.runs, config, signal), 'reply'),
    stop: async (runId, signal) =>
      parse(runIdSchema, await json('POST', PATHS.stop, runId === undefined ? {} : { runId }, signal), 'reply'),
    change: async (change, signal) => parse(runIdSchema, await json('POST', PATHS.change, JSON.parse(JSON.stringify(change)) as JsonObject, signal), 'reply'),
    follow,
    log,
    close: () => http.close(),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TransportError('MESSAGE_INVALID', `the server sent what is not JSON (${errorMessage(error)})`, { cause: error });
  }
}

function remoteError(value: unknown): RemoteError | TransportError {
  const { code, message } = parse(errorReplySchema, value, 'error event');
  return isTransportErrorCode(code) ? new TransportError(code, message) : new RemoteError(code, message, 200);
}
