import { Readable } from 'node:stream';
import { jsonObjectSchema, operatorChangeSchema, type FederationService, type JsonObject, type OperatorPrincipal } from '@zk0/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { TransportError } from '../errors.ts';
import type { TransportLog } from '../log.ts';
import { MAX_MESSAGE_BYTES } from '../protocol/messages.ts';
import { notFound, sendError } from './error-reply.ts';
import { EVENT_STREAM_HEADERS, eventStream } from './event-stream.ts';
import { jsonBody } from './json-body.ts';
import { addLogRoute, type LogSource } from './log-route.ts';
import { authenticateOperator } from './operators.ts';
import type { RefusalLog } from './refusal-log.ts';

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
  app.post('/runs', json(async (request, operator) => service.submitRun(operator, await jsonBody(request, jsonObjectSchema, 'run configuration', MAX_MESSAGE_BYTES))));
  app.post('/stop', json(async (request, operator) => service.stopRun(operator, (await jsonBody(request, stopSchema, 'stop', MAX_MESSAGE_BYTES)).runId)));

  app.post('/change', json(async (request, operator) => service.changeRun(operator, await jsonBody(request, operatorChangeSchema, 'change', MAX_MESSAGE_BYTES))));

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
    reply.headers(EVENT_STREAM_HEADERS);
    return reply.send(Readable.from(eventStream(events, frame, signal, log), { objectMode: false }));
  });
}

function frame(event: JsonObject): string {
  return `data: ${JSON.stringify(event)}\n\n`;
}
