import type { FastifyInstance } from 'fastify';
import type { TransportLog } from '../log.ts';
import { sendError } from './error-reply.ts';
import { authenticateOperator } from './operators.ts';
import type { RefusalLog } from './refusal-log.ts';

/** What programs that watch a server may ask it. */
export interface Monitoring {
  /** Release of the program. */
  readonly version: string;
  /** What is measured, in Prometheus' text format 0.0.4. */
  metrics(): Promise<string>;
}

/** What the routes need of the server. */
export interface MonitorRoutesOptions {
  readonly monitoring: Monitoring;
  /** The operators' credential; anybody may read metrics when absent. */
  readonly operatorToken: string | undefined;
  readonly refusals: RefusalLog;
  readonly log: TransportLog;
  readonly closing: AbortSignal;
}

/**
 * `/health`: whether the server takes requests, and its version, for anybody (load balancers and containers have no credential).
 * `/metrics`: for operators, as a bearer token; where operators need none, anybody on this machine.
 */
export function addMonitorRoutes(app: FastifyInstance, { monitoring, operatorToken, refusals, log, closing }: MonitorRoutesOptions): void {
  app.get('/health', (_request, reply) => {
    const status = closing.aborted ? 'closing' : 'ok';
    return reply
      .code(closing.aborted ? 503 : 200)
      .headers({ 'cache-control': 'no-store' })
      .type('application/json')
      .send(JSON.stringify({ status, version: monitoring.version }));
  });
  app.get('/metrics', async (request, reply) => {
    try {
      authenticateOperator(request.headers, operatorToken);
      return await reply.headers({ 'cache-control': 'no-store' }).type('text/plain; version=0.0.4; charset=utf-8').send(await monitoring.metrics());
    } catch (error) {
      refusals.note(error, request.raw);
      return sendError(reply, error, log, 'json');
    }
  });
}
