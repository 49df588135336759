import type { Clock } from '../clock.ts';

/** Which other servers are there, by what has been heard of them. No two clocks are compared. */
export class KnownServers {
  readonly #clock: Clock;
  readonly #silenceMs: number;
  /** When each was heard last; `sure` once it was heard twice: of what a store holds, nobody knows how old it is. */
  readonly #heard = new Map<string, { readonly at: number; readonly sure: boolean }>();

  /** @param silenceMs one that is silent for so long is not there any more. */
  constructor(clock: Clock, silenceMs: number) {
    this.#clock = clock;
    this.#silenceMs = silenceMs;
  }

  isThere(server: string): boolean {
    const heard = this.#heard.get(server);
    return heard?.sure === true && this.#clock.now() - heard.at <= this.#silenceMs;
  }

  /** @returns whether the server is there now and was not before. */
  heard(server: string): boolean {
    const before = this.isThere(server);
    this.#heard.set(server, { at: this.#clock.now(), sure: this.#heard.has(server) });
    return !before && this.isThere(server);
  }

  gone(server: string): void {
    this.#heard.delete(server);
  }
}
