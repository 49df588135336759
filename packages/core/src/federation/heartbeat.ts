import { randomInt } from 'node:crypto';
import type { HeartbeatMessage, HeartbeatReply } from './messages.ts';

const DEFAULT_INTERVAL_MS = 10_000;
/** A thousand clients that started together do not beat together for long. */
const JITTER = 0.2;

/** Options of {@link Heartbeat}. */
export interface HeartbeatOptions {
  /** Mean time to the next heartbeat, in ms (10 000, also where a function gives none); each one differs from it by up to a fifth. */
  readonly intervalMs?: number | (() => number | undefined);
  /** What to say now. `null`: nothing, because the server hears of this client by other means. Default: an empty message. */
  readonly message?: () => HeartbeatMessage | null;
  /** The task that the last message named is not wanted any more; called once for each task. */
  readonly onUnwanted?: (taskId: string) => void;
  /** A heartbeat failed; the next one makes up for it. */
  readonly onFailure?: (error: unknown) => void;
  /** Stops it. */
  readonly signal?: AbortSignal;
  /** Uniform in [0, 1); a seeded one makes tests repeat. */
  readonly random?: () => number;
}

/**
 * Sends a sign of life at regular intervals, whatever else the client does: while it downloads, trains, uploads. There is never more
 * than one on its way; a slow one is waited for.
 */
export class Heartbeat {
  readonly #send: (message: HeartbeatMessage) => Promise<HeartbeatReply>;
  readonly #options: HeartbeatOptions;
  readonly #onAbort = (): void => { this.stop(); };
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #unwanted: string | undefined;

  /** @param send - one attempt, no repetition */
  constructor(send: (message: HeartbeatMessage) => Promise<HeartbeatReply>, options: HeartbeatOptions = {}) {
    this.#send = send;
    this.#options = options;
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (options.signal?.aborted === true) this.stop();
    this.#schedule();
  }

  /** No further heartbeat is sent, and nothing is called any more. */
  stop(): void {
    this.#stopped = true;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    clearTimeout(this.#timer);
  }

  /** The mean time to the next heartbeat has become another one. */
  reschedule(): void {
    // One that is on its way schedules the next.
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#stopped) return;
    const { intervalMs, random = () => randomInt(2 ** 32) / 2 ** 32 } = this.#options;
    const meanMs = (typeof intervalMs === 'function' ? intervalMs() : intervalMs) ?? DEFAULT_INTERVAL_MS;
    this.#timer = setTimeout(() => void this.#beat(), meanMs * (1 - JITTER + 2 * JITTER * random()));
    // A heartbeat alone keeps no process alive.
    this.#timer.unref();
  }

  async #beat(): Promise<void> {
    this.#timer = undefined;
    try {
      const message = this.#options.message === undefined ? {} : this.#options.message();
      if (message !== null) {
        const reply = await this.#send(message);
        const taskId = message.progress?.taskId;
        if (!this.#isStopped() && !reply.continue && taskId !== undefined && taskId !== this.#unwanted) {
          this.#unwanted = taskId;
          this.#options.onUnwanted?.(taskId);
        }
      }
    } catch (error) {
      if (!this.#isStopped()) this.#options.onFailure?.(error);
    } finally {
      this.#schedule();
    }
  }

  /** Asked after a wait: `stop` may have been called meanwhile. */
  #isStopped(): boolean {
    return this.#stopped;
  }
}
