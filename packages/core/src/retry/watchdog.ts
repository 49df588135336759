/** Calls back when nobody has said for `ms` that something moved. */
export class Watchdog {
  readonly #timer: NodeJS.Timeout;

  constructor(ms: number, onStall: () => void) {
    this.#timer = setTimeout(onStall, ms);
  }

  /** Something moved. */
  touch(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
