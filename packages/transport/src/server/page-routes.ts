import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { jsonObjectSchema, type OperatorPage, type OperatorPrincipal, type PageFile, type PageMessage } from '@zk0/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { TransportError } from '../errors.ts';
import type { TransportLog } from '../log.ts';
import { sendClip } from './clip-route.ts';
import { admitOwnPage, type PageRules } from './browser-guard.ts';
import { notFound, sendError } from './error-reply.ts';
import { EVENT_STREAM_HEADERS, eventStream } from './event-stream.ts';
import { jsonBody } from './json-body.ts';
import { sameSecret } from './operators.ts';
import { PageSessions, SESSION_MS, type PageSession } from './page-sessions.ts';
import type { RefusalLog } from './refusal-log.ts';

/** What a page sends: a form's few fields, or the settings of a run. */
const MAX_BODY_BYTES = 64 * 1024;
/** A wrong token is answered after this long, in ms, for so many at a time: nobody tries many. */
const REFUSAL_MS = 1000;
const MAX_REFUSALS = 8;

/**
 * The page's own files, and nothing else: no script within the document, no other origin, no frame around it, no text that becomes
 * markup or code.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "media-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

const loginSchema = z.strictObject({ token: z.string().min(1).max(1000) });

/** What the page's routes need of the server. */
export interface PageRoutesOptions {
  readonly page: OperatorPage;
  /** The operators' credential; anybody who gets here is an operator when absent. */
  readonly operatorToken: string | undefined;
  readonly rules: PageRules;
  readonly refusals: RefusalLog;
  readonly log: TransportLog;
  /** Event streams open at once. */
  readonly maxFollowers: number;
  readonly closing: AbortSignal;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Marks a route as the page's: the rule against web pages does not hold for it, the page's own does. */
export const PAGE_ROUTE = { page: true } as const;

/** The page's plugin: its files at `/` and `/page/files/`, everything else that it asks for under `/page/`. */
export function addPageRoutes(app: FastifyInstance, options: PageRoutesOptions): void {
  const { page, operatorToken, rules, refusals, log, closing } = options;
  const sessions = operatorToken === undefined ? undefined : new PageSessions(operatorToken, options.now);
  let followers = 0;
  let refusing = 0;

  app.addHook('onSend', (_request, reply, _payload, done) => {
    reply.headers(HEADERS);
    done();
  });

  const route =
    (isDocument: boolean, work: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>) =>
    async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      try {
        admitOwnPage(request.method, request.headers, rules, isDocument);
        return await work(request, reply);
      } catch (error) {
        refusals.note(error, request.raw);
        if (!request.raw.complete) reply.header('connection', 'close');
        return sendError(reply, error, log, 'json');
      }
    };
  const file = route(true, async (request, reply) => {
    const found = (await page.files()).get(request.url.replace(/\?.*$/s, ''));
    if (found === undefined) throw notFound(request);
    return sendFile(request, reply, found);
  });
  const json = (work: (request: FastifyRequest, operator: OperatorPrincipal) => Promise<unknown>) =>
    route(false, async (request, reply) => {
      const value = await work(request, operatorOf(request).operator);
      return reply.header('cache-control', 'no-store').type('application/json').send(JSON.stringify(value));
    });

  app.get('/', { config: PAGE_ROUTE }, file);
  app.get('/page/files/*', { config: PAGE_ROUTE }, file);

  app.get('/page/session', { config: PAGE_ROUTE }, route(false, async (request, reply) =>
    reply.header('cache-control', 'no-store').type('application/json').send(JSON.stringify({
      needsToken: sessions !== undefined,
      operator: sessions === undefined || findSession(request) !== undefined,
    }))));
  app.post('/page/session', { config: PAGE_ROUTE }, route(false, async (request, reply) => {
    const { token } = await jsonBody(request, loginSchema, 'login', MAX_BODY_BYTES);
    if (sessions !== undefined) {
      if (!sameSecret(token, operatorToken!)) await refuseToken();
      log.info('an operator has logged in on the page', { from: request.raw.socket.remoteAddress });
      reply.header('set-cookie', cookie(request, sessions.create(), SESSION_MS / 1000));
    }
    return reply.header('cache-control', 'no-store').type('application/json').send('{"operator":true}');
  }));
  app.delete('/page/session', { config: PAGE_ROUTE }, route(false, async (request, reply) => {
    const session = findSession(request);
    if (session !== undefined) sessions!.end(session);
    reply.header('set-cookie', cookie(request, '', 0));
    return reply.header('cache-control', 'no-store').type('application/json').send('{"operator":false}');
  }));

  app.get<{ Params: { readonly what: string }; Querystring: Readonly<Record<string, unknown>> }>('/page/read/:what', { config: PAGE_ROUTE }, json((request) => {
    const { what } = request.params as { readonly what: string };
    const given = Object.entries(request.query as Readonly<Record<string, unknown>>);
    const texts = given.filter((pair): pair is [string, string] => typeof pair[1] === 'string');
    return page.read(what, Object.fromEntries(texts));
  }));
  app.post('/page/act/:action', { config: PAGE_ROUTE }, json(async (request, operator) => {
    const { action } = request.params as { readonly action: string };
    return page.act(operator, action, await jsonBody(request, jsonObjectSchema, 'action', MAX_BODY_BYTES));
  }));

  app.get('/page/clips/:run/:checkpoint/:file', { config: PAGE_ROUTE }, route(false, (request, reply) => {
    operatorOf(request);
    return sendClip(page, request, reply);
  }));

  app.get('/page/events', { config: PAGE_ROUTE }, route(false, async (request, reply) => {
    const { session } = operatorOf(request);
    if (followers >= options.maxFollowers) throw new TransportError('BUSY', `${options.maxFollowers} pages are open already`, { hint: 'Close one of them.' });
    followers++;
    const gone = new AbortController();
    // A session that is over shows nothing more, whether it ran out or its owner ended it.
    const expiry = session === undefined ? undefined : setTimeout(() => { gone.abort(); }, session.expiresAt - options.now());
    expiry?.unref();
    reply.raw.once('close', () => {
      followers--;
      clearTimeout(expiry);
      gone.abort();
    });
    const signal = AbortSignal.any([gone.signal, closing, ...(session === undefined ? [] : [session.ended])]);
    const lastId = request.headers['last-event-id'];
    const messages = page.stream(typeof lastId === 'string' ? lastId.slice(0, 100) : undefined, signal);
    reply.headers(EVENT_STREAM_HEADERS);
    return reply.send(Readable.from(eventStream(messages, frame, signal, log), { objectMode: false }));
  }));

  function findSession(request: FastifyRequest): PageSession | undefined {
    const names = cookieNames(request);
    for (const part of (request.headers.cookie ?? '').split(';')) {
      const [name, value] = part.trim().split('=', 2);
      const session = names.includes(name ?? '') ? sessions?.find(value ?? '') : undefined;
      if (session !== undefined) return session;
    }
    return undefined;
  }

  /** @throws TransportError `UNAUTHORIZED` */
  function operatorOf(request: FastifyRequest): { readonly operator: OperatorPrincipal; readonly session: PageSession | undefined } {
    const session = findSession(request);
    if (sessions !== undefined && session === undefined) {
      throw new TransportError('UNAUTHORIZED', 'nobody is logged in on this page', { hint: 'Log in with the operators’ token.' });
    }
    return { operator: { role: 'operator', name: 'an operator on the page' }, session };
  }

  async function refuseToken(): Promise<never> {
    if (refusing >= MAX_REFUSALS) throw new TransportError('BUSY', 'too many wrong tokens were given', { hint: 'Try again in a moment.' });
    refusing++;
    try {
      await wait(REFUSAL_MS, undefined, { signal: closing }).catch(() => undefined);
    } finally {
      refusing--;
    }
    throw new TransportError('UNAUTHORIZED', "the operators' token is wrong", { hint: 'It is in the file operator.token of the server’s state folder, or is ZK0_ADMIN_TOKEN.' });
  }
}

function sendFile(request: FastifyRequest, reply: FastifyReply, { bytes, gzip, contentType, immutable }: PageFile): FastifyReply {
  const tag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
  reply.headers({ etag: tag, vary: 'accept-encoding', 'cache-control': immutable ? 'public, max-age=31536000, immutable' : 'no-cache' });
  if (request.headers['if-none-match'] === tag) return reply.code(304).send();
  reply.type(contentType);
  if (!/\bgzip\b/.test(request.headers['accept-encoding']?.toString() ?? '')) return reply.send(Buffer.from(bytes));
  return reply.header('content-encoding', 'gzip').send(Buffer.from(gzip));
}

function frame({ id, event, data }: PageMessage): string {
  return `id: ${id}\nevent: ${event}\ndata: ${data}\n\n`;
}

/** Browsers keep cookies by host, not by port: two servers on one machine need two names. */
function cookieNames(request: FastifyRequest): readonly string[] {
  return ['__Host-zk0-session', `zk0-session-${request.raw.socket.localPort ?? 0}`];
}

function cookie(request: FastifyRequest, value: string, maxAgeSeconds: number): string {
  const [secureName, plainName] = cookieNames(request);
  // The browser's own word: a proxy in front may speak TLS for this server.
  const secure = request.headers.origin?.startsWith('https://') === true;
  return `${secure ? secureName! : plainName!}=${value}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`;
}
