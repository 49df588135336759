import { errorMessage, Zk0Error } from '@zk0/core';
import type { TransportLog } from '../log.ts';

/** Keeps an idle event stream from being taken for a dead one by proxies and by this server itself. */
const HEARTBEAT_MS = 15_000;

/** Headers of an event stream: no cache keeps it, and no proxy gathers it. */
export const EVENT_STREAM_HEADERS = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' };

/**
 * The text of a Server-Sent Events stream, with comments in between while nothing happens. It ends with the events or with `signal`; a
 * failure becomes an event named `error`.
 *
 * @param frame - an event as text, with its last empty line
 */
export async function* eventStream<T>(events: AsyncIterable<T>, frame: (event: T) => string, signal: AbortSignal, log: TransportLog): AsyncGenerator<string> {
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
      yield frame(event.value);
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
