/** Long enough for clients to have fetched their next tasks, short enough for someone who watches the file. */
const DELAY_MS = 1000;

/**
 * After a drawing, so many times as long as it took have to pass before the next: charts are drawn in the thread that the
 * rounds are run in, and take no more than a sixtieth of its time.
 */
const SPACING = 60;

/**
 * Draws a moment after it was asked to, so that a round does not wait for its charts; of several requests in that moment,
 * or soon after a drawing, one drawing is made. A drawing that fails is reported once, by the next {@link request} or by
 * {@link finish}; the next one is made anew.
 */
export class DeferredDrawing {
  readonly #draw: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #drawing: Promise<void> = Promise.resolve();
  /** On the clock of `performance.now`. */
  #notBefore = 0;

  constructor(draw: () => Promise<void>) {
    this.#draw = draw;
  }

  /** Asks for a drawing. @throws what the last one failed with. */
  async request(): Promise<void> {
    try {
      await this.#take();
    } finally {
      this.#timer ??= setTimeout(() => {
        this.#start();
      }, Math.max(DELAY_MS, this.#notBefore - performance.now()));
    }
  }

  /** Makes the drawing that is due now, and waits for it. @throws what it failed with. */
  async finish(): Promise<void> {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#start();
    }
    await this.#take();
  }

  /** Waits for the drawing under way. @throws what it failed with, once */
  async #take(): Promise<void> {
    const drawing = this.#drawing;
    try {
      await drawing;
    } finally {
      if (this.#drawing === drawing) this.#drawing = Promise.resolve();
    }
  }

  #start(): void {
    this.#timer = undefined;
    const draw = async (): Promise<void> => {
      const started = performance.now();
      await this.#draw();
      this.#notBefore = performance.now() + SPACING * (performance.now() - started);
    };
    this.#drawing = this.#drawing.then(draw, draw);
    // The next caller gets the error.
    this.#drawing.catch(() => undefined);
  }
}
