import type { IncomingMessage } from 'node:http';
import { Zk0Error } from '@zk0/core';
import type { TransportLog } from '../log.ts';

/** At most one line in so many ms, however many requests are refused. */
const EVERY_MS = 10_000;

/** Writes refused credentials into the log, at a rate that nobody can fill a disk with. */
export class RefusalLog {
  readonly #log: TransportLog;
  readonly #now: () => number;
  #last = -Infinity;
  #silent = 0;

  /** @param now - milliseconds of a clock that never goes back. */
  constructor(log: TransportLog, now: () => number = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  note(error: unknown, request: IncomingMessage): void {
    if (!(error instanceof Zk0Error)) return;
    const now = this.#now();
    if (now - this.#last < EVERY_MS) {
      this.#silent++;
      return;
    }
    const client = request.headers['zk0-client'];
    this.#log.warn(`refused: ${error.message}`, {
      code: error.code,
      from: request.socket.remoteAddress,
      ...(typeof client === 'string' ? { client: client.slice(0, 64) } : {}),
      ...(this.#silent === 0 ? {} : { refusedSinceLastLine: this.#silent }),
    });
    this.#last = now;
    this.#silent = 0;
  }
}
