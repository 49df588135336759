import { MAX_REPORT_LINE_CHARS, MAX_REPORT_LINES, type ClientResources, type ReportedLine, type ReportMessage, type Zk0Error } from '@zk0/core';
import type { FederationConnection } from './connection.ts';
import { withoutFolders } from './public-message.ts';

/** Lines that wait to be sent; of more the oldest are left out. */
const MAX_WAITING = 200;
const SEND_MS = 2000;
const RESOURCES_MS = 15_000;
/** Saying goodbye does not wait longer for the last lines. */
const LAST_MS = 2000;
const MAX_AGE_MS = 24 * 3600_000;

/** A line as it was logged, without secrets. */
export interface LoggedLine {
  readonly time: Date;
  readonly level: ReportedLine['level'];
  readonly message: string;
  readonly round?: number;
}

/** Options of {@link Reporter}. */
export interface ReporterOptions {
  /** Where reports go. */
  readonly connection: Pick<FederationConnection, 'report'>;
  /** What to say of memory, every 15 s; absent: nothing is said of it. */
  readonly resources?: () => ClientResources | Promise<ClientResources>;
  /** How often lines are sent, in ms (2000). */
  readonly sendMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * Sends a client's lines and the memory that it uses to the server, a few at a time. Training never waits for it: what cannot be sent waits
 * for the next attempt, the newest 200 lines of it. A server that takes no reports is not asked again.
 */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #waiting: LoggedLine[] = [];
  readonly #now: () => number;
  #leftOut = 0;
  #resourcesAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();
  #isRefused = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Takes a line; it is sent once the client has joined. Never throws. */
  line(line: LoggedLine): void {
    if (this.#isRefused) return;
    if (this.#waiting.push(line) > MAX_WAITING) {
      this.#waiting.shift();
      this.#leftOut++;
    }
  }

  /** The client has joined: reports are sent from now on. */
  start(): void {
    this.#timer ??= setInterval(() => {
      this.#sending = this.#sending.then(async () => {
        await this.#send();
      });
    }, this.#options.sendMs ?? SEND_MS).unref();
  }

  /** Sends what waits, within two seconds, and ends. */
  async close(): Promise<void> {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    const signal = AbortSignal.timeout(LAST_MS);
    await this.#sending;
    while (this.#waiting.length > 0 && !signal.aborted && (await this.#send(signal)));
  }

  /** Sends one report where there is something to say. Returns whether it arrived. */
  async #send(signal: AbortSignal = AbortSignal.timeout(LAST_MS * 5)): Promise<boolean> {
    const sent = this.#waiting.slice(0, MAX_REPORT_LINES);
    const leftOut = this.#leftOut;
    try {
      const resources = await this.#dueResources();
      if (this.#isRefused || (sent.length === 0 && resources === undefined)) return true;
      const message: ReportMessage = {
        ...(sent.length > 0 && { lines: sent.map((line) => this.#reported(line)) }),
        ...(leftOut > 0 && { leftOut }),
        ...(resources !== undefined && { resources }),
      };
      await this.#options.connection.report(message, signal);
      // Lines that were left out meanwhile were the oldest: some of those that were sent.
      const gone = new Set(sent);
      this.#waiting.splice(0, this.#waiting.length, ...this.#waiting.filter((line) => !gone.has(line)));
      this.#leftOut -= leftOut;
      return true;
    } catch (error) {
      this.#resourcesAt = Number.NEGATIVE_INFINITY;
      if ((error as Partial<Zk0Error>).code === 'MESSAGE_INVALID') {
        this.#isRefused = true;
        this.#waiting.length = 0;
      }
      return false;
    }
  }

  async #dueResources(): Promise<ClientResources | undefined> {
    const { resources } = this.#options;
    if (resources === undefined || this.#now() - this.#resourcesAt < RESOURCES_MS) return undefined;
    this.#resourcesAt = this.#now();
    return resources();
  }

  #reported({ time, level, message, round }: LoggedLine): ReportedLine {
    const ageMs = Math.round(Math.min(Math.max(this.#now() - time.getTime(), 0), MAX_AGE_MS));
    return { ageMs, level, message: withoutFolders(message).slice(0, MAX_REPORT_LINE_CHARS), ...(round !== undefined && { round }) };
  }
}
