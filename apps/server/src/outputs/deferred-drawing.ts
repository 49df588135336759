/** Long enough for clients to have fetched their next tasks, short enough for someone who watches the file. */
const DELAY_MS = 1000;

/**
 * Draws a moment after it was asked to, so that a round does not wait for its charts; of several requests in that moment
 * one drawing is made. A drawing that fails is reported once, by the next {@link request} or by {@link finish}; the next one is made anew.
 */
export class DeferredDrawing {
  readonly #draw: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #drawing: Promise<void> = Promise.resolve();

  constructor(draw: () => Promise<void>) {
    this.#draw = draw;
  }

  /** Asks for a drawing. @throws what the last one failed with. */
  async request(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      await this.#take();
    } finally {
      this.#timer = setTimeout(() => {
        this.#start();
      }, DELAY_MS);
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
    this.#drawing = this.#drawing.then(this.#draw, this.#draw);
    // Whoever asks next is told what it failed with.
    this.#drawing.catch(() => undefined);
  }
}
