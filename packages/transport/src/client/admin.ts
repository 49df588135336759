import { errorMessage, jsonObjectSchema, type JsonObject } from '@zk0/core';
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
  /**
   * Events as they happen. Ends with the server's stream or with `signal`, and throws when the line breaks.
   */
  follow(options?: FollowOptions): AsyncGenerator<JsonObject, void>;
  close(): Promise<void>;
}

/** What to follow. */
export interface FollowOptions {
  /** One run; all of them when absent. */
  readonly runId?: string;
  readonly signal?: AbortSignal;
  /** The server listens for this follower now: nothing that happens from here on is missed. */
  readonly onConnected?: () => void;
}

/** Options of {@link adminClient}. */
export type AdminClientOptions = HttpOptions;

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

  async function* follow({ runId, signal, onConnected }: FollowOptions = {}): AsyncGenerator<JsonObject, void> {
    const query = runId === undefined ? '' : `?runId=${encodeURIComponent(runId)}`;
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
    follow,
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
