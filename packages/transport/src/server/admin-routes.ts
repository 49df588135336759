import { Readable } from 'node:stream';
import {
  errorMessage,
  jsonObjectSchema,
  Zk0Error,
  type FederationService,
  type JsonObject,
  type OperatorPrincipal,
} from '@zk0/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { TransportError } from '../errors.ts';
import type { TransportLog } from '../log.ts';
import { parse } from '../protocol/codec.ts';
import { MAX_MESSAGE_BYTES } from '../protocol/messages.ts';
import { notFound, sendError } from './error-reply.ts';
import { addLogRoute, type LogSource } from './log-route.ts';
import { authenticateOperator } from './operators.ts';
import type { RefusalLog } from './refusal-log.ts';
import { readBody } from './read-body.ts';

/** Keeps an idle event stream from being taken for a dead one by proxies and by this server itself. */
const HEARTBEAT_MS = 15_000;

const stopSchema = z.strictObject({ runId: z.string().min(1).max(300).optional() });

/** What the operator's routes need of the server. */
export interface AdminRoutesOptions {
  readonly service: FederationService;
  /** The operators' credential; anybody is let in when absent. */
  readonly operatorToken: string | undefined;
  readonly refusals: RefusalLog;
  readonly log: TransportLog;
  /** Where the text of logs comes from; operators cannot read them when absent. */
  readonly logs?: LogSource | undefined;
  /** Event streams open at once. */
  readonly maxFollowers: number;
  readonly closing: AbortSignal;
}

/** The operators' plugin, mounted under `/admin`: JSON in and out, events as Server-Sent Events. */
export function addAdminRoutes(app: FastifyInstance, options: AdminRoutesOptions): void {
  const { service, operatorToken, refusals, log, maxFollowers, closing } = options;
  let followers = 0;

  // The routes of this plugin, and what is not found among them, are the operators': the route decides, not the text of the address.
  app.decorateRequest('operator', null);
  app.addHook('onRequest', (request, reply, done) => {
    try {
      request.setDecorator('operator', authenticateOperator(request.headers, operatorToken));
      done();
    } catch (error) {
      refusals.note(error, request.raw);
      if (!request.raw.complete) reply.header('connection', 'close');
      sendError(reply, error, log, 'json');
    }
  });
  app.setNotFoundHandler((request, reply) => sendError(reply, notFound(request), log, 'json'));

  const json =
    (route: (request: FastifyRequest, operator: OperatorPrincipal) => Promise<unknown>) =>
    async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      try {
        const value = await route(request, request.getDecorator<OperatorPrincipal>('operator'));
        return await reply.type('application/json').send(JSON.stringify(value));
      } catch (error) {
        if (!request.raw.complete) reply.header('connection', 'close');
        return sendError(reply, error, log, 'json');
      }
    };

  app.get('/status', json(() => service.status()));
  app.post('/runs', json(async (request, operator) => service.submitRun(operator, await jsonBody(request, jsonObjectSchema, 'run configuration'))));
  app.post('/stop', json(async (request, operator) => service.stopRun(operator, (await jsonBody(request, stopSchema, 'stop')).runId)));

  if (options.logs !== undefined) addLogRoute(app, { logs: options.logs, log, closing });

  app.get<{ Querystring: { readonly runId?: unknown; readonly history?: unknown } }>('/events', async (request, reply) => {
    const { runId, history } = request.query;
    if (followers >= maxFollowers) {
      return sendError(reply, new TransportError('BUSY', `${maxFollowers} followers are connected already`), log, 'json');
    }
    followers++;
    const gone = new AbortController();
    reply.raw.once('close', () => {
      followers--;
      gone.abort();
    });
    const signal = AbortSignal.any([gone.signal, closing]);
    const events = service.events(typeof runId === 'string' ? runId : undefined, signal, history === '1');
    reply.headers({ 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
    return reply.send(Readable.from(eventStream(events, signal, log), { objectMode: false }));
  });
}

/** Events as lines of an event stream, with comments in between while nothing happens. */
async function* eventStream(events: AsyncIterable<JsonObject>, signal: AbortSignal, log: TransportLog): AsyncGenerator<string> {
  const iterator = events[Symbol.asyncIterator]();
  // Asked before the reply begins: a follower that sees it begin misses nothing from then on.
  let next = iterator.next();
  try {
    yield ': connected\n\n';
    for (;;) {
      const event = await withHeartbeat(next, signal);
      if (event === 'ended') return;
      if (event === 'heartbeat') {
        yield ': still here\n\n';
        continue;
      }
      if (event.done === true) return;
      yield `data: ${JSON.stringify(event.value)}\n\n`;
      next = iterator.next();
    }
  } catch (error) {
    log.error('event stream failed', { error });
    const code = error instanceof Zk0Error ? error.code : 'INTERNAL';
    yield `event: error\ndata: ${JSON.stringify({ code, message: errorMessage(error) })}\n\n`;
  } finally {
    next.catch(() => undefined);
    // Not awaited: a generator that waits for its next event cannot return before it has one.
    void iterator.return?.(undefined).catch(() => undefined);
  }
}

async function withHeartbeat<T>(next: Promise<T>, signal: AbortSignal): Promise<T | 'heartbeat' | 'ended'> {
  if (signal.aborted) return 'ended';
  let finish: () => void = () => undefined;
  const quiet = new Promise<'heartbeat' | 'ended'>((resolve) => {
    const end = (): void => { resolve('ended'); };
    const timer = setTimeout(() => { resolve('heartbeat'); }, HEARTBEAT_MS);
    signal.addEventListener('abort', end, { once: true });
    finish = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
    };
  });
  try {
    return await Promise.race([next, quiet]);
  } finally {
    finish();
  }
}

async function jsonBody<T>(request: FastifyRequest, schema: z.ZodType<T>, what: string): Promise<T> {
  // Demanding JSON also keeps web pages of other sites out: a browser asks first before it sends that across sites.
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new TransportError('MESSAGE_INVALID', `${what}: content-type must be application/json`);
  }
  const bytes = await readBody(request.raw, MAX_MESSAGE_BYTES);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new TransportError('MESSAGE_INVALID', `${what}: not JSON (${errorMessage(error)})`, { cause: error });
  }
  return parse(schema, value, what);
}
