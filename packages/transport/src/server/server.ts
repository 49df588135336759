import { EventEmitter } from 'node:events';
import type { AddressInfo } from 'node:net';
import { errorMessage, type FederationService, type OperatorPage } from '@zk0/core';
import type { BlobStore, SharedNames } from '@zk0/storage';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { TransportError } from '../errors.ts';
import type { NodeRegistry } from '../identity/registry.ts';
import { silentLog, type TransportLog } from '../log.ts';
import { CONTENT_DIGEST, contentDigest } from '../protocol/digest.ts';
import { isLoopback, PROTOCOL_HEADER } from '../protocol/http.ts';
import { PROTOCOL_VERSION } from '../protocol/messages.ts';
import { createAccess } from './access.ts';
import { addAdminRoutes } from './admin-routes.ts';
import { addBlobRoutes } from './blob-routes.ts';
import { refuseBrowsers } from './browser-guard.ts';
import { addEnrolmentRoute } from './enrolment-route.ts';
import { frameworkError, notFound, sendError } from './error-reply.ts';
import type { LogSource } from './log-route.ts';
import { addMessageRoutes } from './message-routes.ts';
import { addMonitorRoutes, type Monitoring } from './monitor-routes.ts';
import { connectionsThatFit } from './open-files.ts';
import { addPageRoutes } from './page-routes.ts';
import { PendingWork } from './pending-work.ts';
import { RefusalLog } from './refusal-log.ts';
import { watchRevocations } from './watch-revocations.ts';

/** How long `close` waits for requests in flight before it cuts them. Transfers resume elsewhere or later. */
const CLOSE_GRACE_MS = 2000;
const SWEEP_MS = 20;
const MAX_CONNECTIONS = 20_000;
/** Requests of one client that are worked on at the same time. */
const MAX_CLIENT_WORK = 16;

/** Bounds of one server; blob sizes are the {@link BlobStore}'s own. */
export interface TransportLimits {
  /** How long a poll without a task is held open, in ms (50 000). */
  readonly pollWaitMs?: number;
  /**
   * A request that takes longer is answered with "not yet", and the client asks again, in ms (20 000): less than the proxies on the way
   * wait for an answer.
   */
  readonly answerWithinMs?: number;
  /** A connection on which no byte moves for so long is closed, in ms (60 000). */
  readonly noProgressMs?: number;
  /** Polls held open at once (10 000). */
  readonly maxPolls?: number;
  /** Bodies of uploads received at once (256). */
  readonly maxUploads?: number;
  /** Of them, one client's (4). */
  readonly maxClientUploads?: number;
  /** Uploads that one client has announced and not finished (8). */
  readonly maxClientAnnouncements?: number;
  /** Bytes of these together (32 GiB). */
  readonly maxClientBytes?: number;
  /** A peer that sends or reads a blob slower than this, in bytes a second over a minute, is cut off (1024). */
  readonly minBytesPerSecond?: number;
  /** Event streams open at once (64). */
  readonly maxFollowers?: number;
  /** Open connections (20 000, or as many as the limit of open files leaves room for). */
  readonly maxConnections?: number;
  /** The clock of a client that signs may differ from the server's by so much, in ms (300 000). */
  readonly maxClockSkewMs?: number;
}

/**
 * TLS material of a server, PEM. With `clientCa`, a certificate that it signed tells who a client is: by a URI `zk0:client:ID` among
 * its alternative names, else by its common name.
 */
export interface ServerTls {
  readonly key: string;
  readonly cert: string;
  readonly clientCa?: string;
}

export interface TransportServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly blobs: BlobStore;
  readonly service: FederationService;
  readonly limits?: TransportLimits;
  /** Who may take part: with it, each request of a client is signed with an enrolled key, and nodes enrol at `/enroll`. */
  readonly registry?: NodeRegistry;
  /** Where signatures are taken once for all servers that share the registry; this process's memory when absent. */
  readonly sharedNonces?: SharedNames;
  /**
   * The operators' credential. Without one, anybody on this machine is an operator; that is possible on loopback only, and where
   * clients need no credential either.
   */
  readonly operatorToken?: string;
  /** A page for operators, served at `/`. Without one, no web page is answered. */
  readonly page?: OperatorPage;
  readonly tls?: ServerTls;
  /** Where operators read logs from (`/admin/logs`); they cannot when absent. */
  readonly logs?: LogSource;
  /** What is answered at `/health` and `/metrics`; nothing when absent. */
  readonly monitoring?: Monitoring;
  /** Allows plain HTTP, and clients and operators without a credential, beyond this machine: for networks that are trusted themselves. */
  readonly allowInsecure?: boolean;
  readonly log?: TransportLog;
  /** The server's clock, which signatures are compared with, in ms since 1970. */
  readonly now?: () => number;
}

/** A listening server. */
export interface TransportServer {
  readonly url: string;
  readonly port: number;
  /** Answers waiting polls, ends event streams, gives requests in flight a moment, closes every socket. */
  close(): Promise<void>;
}

/**
 * Listens for clients and operators.
 *
 * @throws TransportError `INSECURE` (see `allowInsecure`), `CERTIFICATE_REFUSED` for TLS material that cannot be used, `PORT_IN_USE`,
 * `ADDRESS_UNAVAILABLE`
 */
export async function createTransportServer(options: TransportServerOptions): Promise<TransportServer> {
  const { host, port, blobs, service, registry, operatorToken, tls, allowInsecure = false, limits = {}, log = silentLog, now, page } = options;
  const access = createAccess({ host, tls, registry, sharedNonces: options.sharedNonces, operatorToken, allowInsecure, maxClockSkewMs: limits.maxClockSkewMs, now, log });
  const refusals = new RefusalLog(log);
  const { pollWaitMs = 50_000, answerWithinMs = 20_000, noProgressMs = 60_000, minBytesPerSecond = 1024 } = limits;
  const app = createApp(tls, noProgressMs);
  app.server.maxConnections = limits.maxConnections ?? connectionsThatFit(MAX_CONNECTIONS);
  const closing = new AbortController();
  // Every follower and every poll listens to it.
  EventEmitter.setMaxListeners(0, closing.signal);
  const pending = new PendingWork(answerWithinMs, MAX_CLIENT_WORK);
  const shared = { log, pending, closing: closing.signal };
  const uploads = {
    maxUploads: limits.maxUploads ?? 256,
    maxClientUploads: limits.maxClientUploads ?? 4,
    maxClientAnnouncements: limits.maxClientAnnouncements ?? 8,
    maxClientBytes: limits.maxClientBytes ?? 32 * 2 ** 30,
  };

  app.addHook('onRequest', (request, reply, done) => {
    reply.header(PROTOCOL_HEADER, String(PROTOCOL_VERSION));
    try {
      // The page's routes admit their own page, and no other.
      if (!isPageRoute(request)) refuseBrowsers(request.headers, access.browsers);
      done();
    } catch (error) {
      refusals.note(error, request.raw);
      if (!request.raw.complete) reply.header('connection', 'close');
      sendError(reply, error, log, 'json');
    }
  });
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (closing.signal.aborted) reply.header('connection', 'close');
    if (typeof payload === 'string' || Buffer.isBuffer(payload)) reply.header(CONTENT_DIGEST, contentDigest(payload));
    done();
  });
  app.setNotFoundHandler((request, reply) => sendError(reply, notFound(request), log, 'json'));
  app.setErrorHandler((error, _request, reply) => sendError(reply, frameworkError(error), log, 'json'));
  if (page !== undefined) {
    void app.register((pages, _options, done) => {
      addPageRoutes(pages, { ...shared, page, operatorToken, rules: access.page, refusals, maxFollowers: limits.maxFollowers ?? 64, now: now ?? Date.now });
      done();
    });
  }
  const { monitoring } = options;
  if (monitoring !== undefined) {
    void app.register((monitors, _options, done) => {
      addMonitorRoutes(monitors, { monitoring, operatorToken, refusals, log, closing: closing.signal });
      done();
    });
  }
  const { signed } = access;
  if (registry !== undefined && signed !== undefined) {
    void app.register((nodes, _options, done) => {
      addEnrolmentRoute(nodes, { registry, clients: signed, refusals, log });
      done();
    });
  }
  void app.register((clients, _options, done) => {
    clients.decorateRequest('client', null);
    clients.addHook('onRequest', async (request, reply) => {
      try {
        request.setDecorator('client', await access.clients.authenticate(request.raw));
      } catch (error) {
        refusals.note(error, request.raw);
        if (!request.raw.complete) reply.header('connection', 'close');
        return sendError(reply, error, log, 'message');
      }
      return undefined;
    });
    const polls = addMessageRoutes(clients, { ...shared, service, pollWaitMs, maxPolls: limits.maxPolls ?? 10_000 });
    if (signed !== undefined) watchRevocations({ clients: signed, polls, service, log, closing: closing.signal });
    addBlobRoutes(clients, { ...shared, service, blobs, uploads, pace: { minBytesPerSecond, windowMs: noProgressMs } });
    done();
  });
  void app.register(
    (operators, _options, done) => {
      addAdminRoutes(operators, { ...shared, service, operatorToken, refusals, logs: options.logs, maxFollowers: limits.maxFollowers ?? 64 });
      done();
    },
    { prefix: '/admin' },
  );

  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw listenError(error, host, port);
  }
  const address = app.server.address() as AddressInfo;
  const url = `${tls === undefined ? 'http' : 'https'}://${urlHost(host)}:${address.port}`;
  log.debug(`listening on ${url}`);
  if (tls === undefined && !isLoopback(host)) log.warn('plain HTTP beyond this machine: anyone on the way can read and change everything');

  let closed: Promise<void> | undefined;
  return {
    url,
    port: address.port,
    close: () => {
      closed ??= close(app, closing);
      return closed;
    },
  };
}

function createApp(tls: ServerTls | undefined, noProgressMs: number): FastifyInstance {
  const options = serverOptions(noProgressMs);
  const app = tls === undefined ? fastify(options) : createSecureApp(tls, options);
  // Bodies are never parsed by the framework: each route reads its own, within its own limit, or streams it.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => {
    done(null);
  });
  return app;
}

function serverOptions(noProgressMs: number) {
  return {
    // Socket inactivity, either direction: a peer that stopped reading or sending is cut; a slow one is not.
    connectionTimeout: noProgressMs,
    // No bound on the whole request: a large upload over a thin line is progress.
    requestTimeout: 0,
    routerOptions: { maxParamLength: 256 },
    forceCloseConnections: 'idle' as const,
  };
}

function createSecureApp(tls: ServerTls, options: ReturnType<typeof serverOptions>): FastifyInstance {
  const { key, cert, clientCa: ca } = tls;
  // A certificate that is not accepted is refused by the first request's answer, which can say why; a failed handshake cannot.
  const clients = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: false };
  try {
    return fastify({ ...options, https: { key, cert, ...clients } });
  } catch (cause) {
    throw new TransportError('CERTIFICATE_REFUSED', `the TLS key, certificate and authority cannot be used (${errorMessage(cause)})`, {
      cause,
      hint: 'Give PEM files that belong together.',
    });
  }
}

function isPageRoute({ routeOptions }: FastifyRequest): boolean {
  return (routeOptions.config as { readonly page?: boolean }).page === true;
}

async function close(app: FastifyInstance, closing: AbortController): Promise<void> {
  closing.abort();
  // Connections that fall idle after the listening ended (an event stream, a poll that was just answered) would be kept.
  const sweep = setInterval(() => {
    app.server.closeIdleConnections();
  }, SWEEP_MS);
  const cut = setTimeout(() => {
    app.server.closeAllConnections();
  }, CLOSE_GRACE_MS);
  try {
    await app.close();
  } finally {
    clearInterval(sweep);
    clearTimeout(cut);
  }
}

function listenError(error: unknown, host: string, port: number): TransportError {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') {
    return new TransportError('PORT_IN_USE', `port ${port} on ${host} is taken`, {
      cause: error,
      hint: 'Choose another port, or stop what listens there.',
    });
  }
  return new TransportError('ADDRESS_UNAVAILABLE', `cannot listen on ${host}:${port} (${errorMessage(error)})`, {
    cause: error,
    hint: 'Check the host name, and that the port is one this user may take.',
  });
}

/** An address to dial: the wildcard addresses stand for this machine. */
function urlHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}
