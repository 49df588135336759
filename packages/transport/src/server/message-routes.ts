import { EventEmitter } from 'node:events';
import { errorMessage, type ClientPrincipal, type FederationService, type Task } from '@zk0/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodType } from 'zod';
import { TransportError } from '../errors.ts';
import type { TransportLog } from '../log.ts';
import { decodeEnvelope, encodeMessage, MESSAGE_CONTENT_TYPE, parse } from '../protocol/codec.ts';
import { PATHS } from '../protocol/http.ts';
import {
  MAX_MESSAGE_BYTES,
  REPLY_SCHEMAS,
  REQUEST_SCHEMAS,
  type ReplyBodies,
  type RequestBodies,
  type RequestType,
} from '../protocol/messages.ts';
import { sendError } from './error-reply.ts';
import { readMessage } from './read-body.ts';
import { whileAlive } from './sign-of-life.ts';

/** What the message routes need of the server. */
export interface MessageRoutesOptions {
  readonly service: FederationService;
  readonly log: TransportLog;
  /** How long a poll is held open without a task. */
  readonly pollWaitMs: number;
  /** Polls held open at once. */
  readonly maxPolls: number;
  /** A peer that waits for an answer hears so often that it is being worked on, in ms. */
  readonly signOfLifeMs: number;
  /** Aborts when the server closes: polls are answered at once. */
  readonly closing: AbortSignal;
}

/** The one route that clients send messages to. */
export function addMessageRoutes(app: FastifyInstance, options: MessageRoutesOptions): void {
  const { service, log, signOfLifeMs } = options;
  const polls = new Polls(options);
  /** Checked both ways: a reply that the client would refuse is this server's bug, found here. */
  const route =
    <T extends RequestType>(
      type: T,
      handle: (client: ClientPrincipal, body: RequestBodies[T], gone: AbortSignal) => Promise<ReplyBodies[T]>,
    ) =>
    async (client: ClientPrincipal, body: unknown, gone: AbortSignal): Promise<Uint8Array> => {
      const reply = await handle(client, parse(REQUEST_SCHEMAS[type], body, type), gone);
      return encodeMessage(type, checkReply(REPLY_SCHEMAS[type], reply, type));
    };
  const routes = {
    join: route('join', (client, body) => service.join(client, body)),
    poll: route('poll', async (client, _body, gone) => ({ task: await polls.hold(client, gone) })),
    heartbeat: route('heartbeat', (client, body) => service.heartbeat(client, body)),
    result: route('result', (client, body) => service.result(client, body)),
    leave: route('leave', async (client) => {
      await service.leave(client);
      return {};
    }),
  };

  app.post(PATHS.messages, async (request: FastifyRequest, reply: FastifyReply) => {
    const gone = new AbortController();
    reply.raw.once('close', () => {
      gone.abort();
    });
    try {
      const { type, body } = decodeEnvelope(await readMessage(request.raw, MAX_MESSAGE_BYTES));
      if (!Object.hasOwn(routes, type)) {
        throw new TransportError('MESSAGE_INVALID', `no message of type ${JSON.stringify(type)}`);
      }
      const bytes = await whileAlive(reply.raw, signOfLifeMs, routes[type as RequestType](request.getDecorator<ClientPrincipal>('client'), body, gone.signal));
      return await reply.type(MESSAGE_CONTENT_TYPE).send(Buffer.from(bytes));
    } catch (error) {
      if (!request.raw.complete) reply.header('connection', 'close');
      return sendError(reply, error, log, 'message');
    }
  });
}

function checkReply<T>(schema: ZodType<T>, reply: unknown, type: RequestType): T {
  try {
    return parse(schema, reply, `reply to ${type}`);
  } catch (cause) {
    throw new Error(`the application gave an answer that does not fit: ${errorMessage(cause)}`, { cause });
  }
}

/** The polls that are held open; one for each installation. */
class Polls {
  readonly #options: MessageRoutesOptions;
  readonly #open = new Map<string, AbortController>();

  constructor(options: MessageRoutesOptions) {
    this.#options = options;
    // Every open poll listens to the one closing signal.
    EventEmitter.setMaxListeners(0, options.closing);
  }

  async hold(client: ClientPrincipal, gone: AbortSignal): Promise<Task | null> {
    const { service, pollWaitMs, maxPolls, closing } = this.#options;
    if (closing.aborted) throw new TransportError('CLOSING', 'the server is shutting down');
    const { clientId, instance } = client;
    const key = `${clientId} ${instance}`;
    const before = this.#open.get(key);
    if (before === undefined && this.#open.size >= maxPolls) {
      throw new TransportError('BUSY', `${maxPolls} clients are waiting already`);
    }
    // Of one installation the newest poll is the living one; the other is a broken line that the server has not noticed, or a copy
    // of the installation. What another installation may do under this id, the service decides.
    before?.abort(new TransportError('CLIENT_ID_IN_USE', `client id ${clientId} is used by another process`, {
      hint: 'Give each client an id of its own.',
    }));
    const replaced = new AbortController();
    this.#open.set(key, replaced);
    const until = AbortSignal.any([gone, closing, replaced.signal, AbortSignal.timeout(pollWaitMs)]);
    try {
      const task = await service.poll(client, until);
      if (replaced.signal.aborted) throw replaced.signal.reason as TransportError;
      return task;
    } finally {
      if (this.#open.get(key) === replaced) this.#open.delete(key);
    }
  }
}
