import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import type { TransportLog } from '../log.ts';
import { parse } from '../protocol/codec.ts';
import { sendError } from './error-reply.ts';

/** Keeps a connection on which nothing is logged from being taken for a dead one. */
const HEARTBEAT_MS = 15_000;

/** Which part of which log an operator wants. */
export interface LogRequest {
  /** One run's log; the server's own when absent. */
  readonly runId: string | undefined;
  /** Lines from the end to begin with; 0: all. */
  readonly lines: number;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** Gives operators the text of a log; throws a Zk0Error before the first piece for one that there is not. */
export type LogSource = (request: LogRequest) => AsyncIterable<Uint8Array>;

const querySchema = z.object({
  runId: z.string().min(1).max(300).optional(),
  lines: z.coerce.number().int().min(0).default(200),
  follow: z.enum(['0', '1']).default('0'),
});

/** `GET /logs`, for operators: the log as plain text. */
export function addLogRoute(app: FastifyInstance, options: { readonly logs: LogSource; readonly log: TransportLog; readonly closing: AbortSignal }): void {
  const { logs, log, closing } = options;
  app.get('/logs', async (request, reply) => {
    const gone = new AbortController();
    reply.raw.once('close', () => {
      gone.abort();
    });
    try {
      const { runId, lines, follow } = parse(querySchema, request.query, 'query');
      const signal = AbortSignal.any([gone.signal, closing]);
      const pieces = logs({ runId, lines, follow: follow === '1', signal })[Symbol.asyncIterator]();
      const first = await firstPiece(pieces);
      reply.headers({ 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
      return await reply.send(Readable.from(withHeartbeat(first, pieces, signal), { objectMode: false }));
    } catch (error) {
      return sendError(reply, error, log, 'json');
    }
  });
}

/** The first piece, or the promise of it: an error that comes at once becomes the answer, and a log without lines does not delay it. */
async function firstPiece(pieces: AsyncIterator<Uint8Array>): Promise<Promise<IteratorResult<Uint8Array>>[]> {
  const first = pieces.next();
  const soon = new Promise((resolve) => setTimeout(resolve, 200));
  await Promise.race([first, soon]);
  return [first];
}

async function* withHeartbeat(
  [first]: readonly Promise<IteratorResult<Uint8Array>>[],
  pieces: AsyncIterator<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const quiet = Buffer.from('\n');
  let next = first!;
  while (!signal.aborted) {
    let timer: NodeJS.Timeout | undefined;
    const heartbeat = new Promise<null>((resolve) => (timer = setTimeout(() => { resolve(null); }, HEARTBEAT_MS)));
    const piece = await Promise.race([next, heartbeat]);
    clearTimeout(timer);
    if (piece === null) {
      yield quiet;
      continue;
    }
    if (piece.done === true) return;
    yield piece.value;
    next = pieces.next();
  }
}
