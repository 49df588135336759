import type { ReportedLine } from '@zk0/core';
import type { Clock } from '../clock.ts';

/** Lines that a client may send at once after a silence, and lines a second in the long run. */
const BURST = 200;
const LINES_PER_SECOND = 2;
/** Bytes of one client's lines in a day, as UTF-8. */
const BYTES_PER_DAY = 4 * 2 ** 20;
const DAY_MS = 24 * 3600_000;

/** A line of a client's log as the server takes it in. */
export interface ClientLine {
  readonly clientId: string;
  /** When it was written, by the server's clock: counted back from its arrival. */
  readonly time: Date;
  readonly level: ReportedLine['level'];
  readonly message: string;
  readonly round?: number;
}

/** What one client has left of its share. */
interface Share {
  lines: number;
  at: number;
  bytes: number;
  dayBegan: number;
  leftOut: number;
}

/** Lets through as many lines of each client as a log can hold: a client that says too much loses its own lines, and nobody else's. */
export class ClientLines {
  readonly #clock: Clock;
  readonly #take: (line: ClientLine) => void;
  readonly #shares = new Map<string, Share>();

  /** @param take Gets the lines that are let through. */
  constructor(clock: Clock, take: (line: ClientLine) => void) {
    this.#clock = clock;
    this.#take = take;
  }

  /**
   * Takes in lines of a client.
   *
   * @param leftOut lines that the client left out itself
   */
  report(clientId: string, lines: readonly ReportedLine[], leftOut = 0): void {
    const now = this.#clock.now();
    const share = this.#shareOf(clientId, now);
    share.leftOut += leftOut;
    for (const { ageMs, level, message, round } of lines) {
      const bytes = Buffer.byteLength(message);
      if (share.lines < 1 || share.bytes < bytes) {
        share.leftOut++;
        continue;
      }
      if (share.leftOut > 0) this.#take({ clientId, time: new Date(now), level: 'warn', message: `${share.leftOut} lines of this client were left out: it sent too many` });
      share.leftOut = 0;
      share.lines--;
      share.bytes -= bytes;
      this.#take({ clientId, time: new Date(now - ageMs), level, message, ...(round !== undefined && { round }) });
    }
  }

  /** Forgets a client. Its share of the day is not given anew by leaving and coming back: call it for those who are long gone. */
  forget(clientId: string): void {
    this.#shares.delete(clientId);
  }

  #shareOf(clientId: string, now: number): Share {
    const known = this.#shares.get(clientId) ?? { lines: BURST, at: now, bytes: BYTES_PER_DAY, dayBegan: now, leftOut: 0 };
    known.lines = Math.min(BURST, known.lines + ((now - known.at) / 1000) * LINES_PER_SECOND);
    known.at = now;
    if (now - known.dayBegan >= DAY_MS) Object.assign(known, { bytes: BYTES_PER_DAY, dayBegan: now });
    this.#shares.set(clientId, known);
    return known;
  }
}
