import { createHash } from 'node:crypto';
import { errorMessage, type ClientPrincipal, type FederationService, type Task } from '@zk0/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ZodType } from 'zod';
import { TransportError } from '../errors.ts';
import type { TransportLog } from '../log.ts';
import { decodeEnvelope, encodeMessage, MESSAGE_CONTENT_TYPE, parse } from '../protocol/codec.ts';
import { PATHS } from '../protocol/http.ts';
import {
  MAX_MESSAGE_BYTES,
  PENDING,
  REPLY_SCHEMAS,
  REQUEST_SCHEMAS,
  type ReplyBodies,
  type RequestBodies,
  type RequestType,
} from '../protocol/messages.ts';
import { sendError } from './error-reply.ts';
import type { PendingWork } from './pending-work.ts';
import { readMessage } from './read-body.ts';

/** What the message routes need of the server. */
export interface MessageRoutesOptions {
  readonly service: FederationService;
  readonly log: TransportLog;
  /** How long a poll is held open without a task. */
  readonly pollWaitMs: number;
  /** Polls held open at once. */
  readonly maxPolls: number;
  /** Answers in time what takes long. */
  readonly pending: PendingWork;
  /** Aborts when the server closes: polls are answered at once. */
  readonly closing: AbortSignal;
}

/**
 * The one route that clients send messages to.
 *
 * @returns the polls that are held open there
 */
export function addMessageRoutes(app: FastifyInstance, options: MessageRoutesOptions): Polls {
  const { service, log, pending } = options;
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
    report: route('report', async (client, body) => {
      await service.report(client, body);
      return {};
    }),
    result: route('result', (client, body) => service.result(client, body)),
    leave: route('leave', async (client) => {
      await service.leave(client);
      return {};
    }),
  };

  app.post(PATHS.messages, async (request: FastifyRequest, reply: FastifyReply) => {
    const gone = new AbortController();
    reply.raw.once('close', () => {
      gone.abort(LINE_CLOSED);
    });
    try {
      const message = await readMessage(request.raw, MAX_MESSAGE_BYTES);
      const { type, body } = decodeEnvelope(message);
      if (!Object.hasOwn(routes, type)) {
        throw new TransportError('MESSAGE_INVALID', `no message of type ${JSON.stringify(type)}`);
      }
      const client = request.getDecorator<ClientPrincipal>('client');
      const work = (): Promise<Uint8Array> => routes[type as RequestType](client, body, gone.signal);
      reply.type(MESSAGE_CONTENT_TYPE);
      // A poll ends in time by itself, and with its connection.
      if (type === 'poll') return await reply.send(Buffer.from(await work()));
      const key = `${type} ${client.instance} ${createHash('sha256').update(message).digest('hex')}`;
      const answer = await pending.answer(client.clientId, key, work);
      if (answer.done) return await reply.send(Buffer.from(answer.value));
      return await reply.code(202).send(Buffer.from(encodeMessage(PENDING, {})));
    } catch (error) {
      if (!request.raw.complete) reply.header('connection', 'close');
      return sendError(reply, error, log, 'message');
    }
  });
  return polls;
}

function checkReply<T>(schema: ZodType<T>, reply: unknown, type: RequestType): T {
  try {
    return parse(schema, reply, `reply to ${type}`);
  } catch (cause) {
    throw new Error(`the application gave an answer that does not fit: ${errorMessage(cause)}`, { cause });
  }
}

/** A poll that is held open. */
interface HeldPoll {
  /** By the clock of `performance.now()`, in ms. */
  readonly until: number;
  readonly end: (reason: TransportError | null) => void;
}

/** The polls that are held open; one for each installation. */
export class Polls {
  readonly #options: MessageRoutesOptions;
  /** The one that ends first comes first. */
  readonly #open = new Map<string, HeldPoll>();
  #sweep: NodeJS.Timeout | undefined;

  constructor(options: MessageRoutesOptions) {
    this.#options = options;
    // One listener for all: a signal looks through its listeners whenever one is added.
    options.closing.addEventListener('abort', () => {
      for (const { end } of this.#open.values()) end(null);
    }, { once: true });
  }

  /** Ends a client's poll, if one is held: it is answered with the reason. */
  end({ clientId, instance }: ClientPrincipal, reason: TransportError): void {
    this.#open.get(`${clientId} ${instance}`)?.end(reason);
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
    before?.end(new TransportError('CLIENT_ID_IN_USE', `client id ${clientId} is used by another process`, {
      hint: 'Give each client an id of its own.',
    }));
    const until = new AbortController();
    const replaced: { by: TransportError | null } = { by: null };
    // Thousands of polls wait at once: one signal for each, and no reason with a stack, cost a third of composed signals.
    const end = (reason: TransportError | null): void => {
      replaced.by = reason;
      until.abort(ENDED);
    };
    gone.addEventListener('abort', () => { end(null); }, { once: true });
    const poll: HeldPoll = { until: performance.now() + pollWaitMs, end };
    this.#open.delete(key);
    this.#open.set(key, poll);
    this.#sweepLater();
    try {
      const task = await service.poll(client, until.signal);
      if (replaced.by !== null) throw replaced.by;
      return task;
    } finally {
      if (this.#open.get(key) === poll) this.#open.delete(key);
    }
  }

  /** Polls end together, a little early: a process that wakes once for many of them does each in half of the time. */
  #sweepLater(): void {
    const everyMs = Math.min(SWEEP_MS, this.#options.pollWaitMs / 10);
    this.#sweep ??= setTimeout(() => {
      this.#sweep = undefined;
      const soon = performance.now() + everyMs;
      for (const { until, end } of this.#open.values()) {
        if (until > soon) break;
        end(null);
      }
      if (this.#open.size > 0) this.#sweepLater();
    }, everyMs);
  }
}

/** How often it is looked which polls have waited long enough. */
const SWEEP_MS = 500;
/** Why signals abort here; as errors they would carry stacks that nobody reads. */
const ENDED = 'the poll is over';
const LINE_CLOSED = 'the connection is closed';
