/** Something to do, and what can be done after it. */
export type Job = () => Promise<Job | undefined>;

/**
 * Jobs and the workers that do them. What follows from a job waits until all that were there before have begun: short jobs at the end keep
 * all workers busy.
 */
export class JobPool {
  readonly #queue: Job[];
  readonly #onFailure: () => void;
  readonly #workers: Promise<void>[] = [];
  #failure: { readonly error: unknown } | undefined;

  /** @param onFailure called when the first job fails; no other one begins after that */
  constructor(jobs: readonly Job[], onFailure: () => void) {
    this.#queue = [...jobs];
    this.#onFailure = onFailure;
  }

  /** Adds a job that is done before those that wait. */
  addFirst(job: Job): void {
    this.#queue.unshift(job);
  }

  /** Adds workers, each of which ends when no job waits. */
  start(workers: number): void {
    for (let worker = 0; worker < workers; worker++) this.#workers.push(this.#work());
  }

  /**
   * Resolves when all workers have ended.
   *
   * @throws what the first failed job has thrown
   */
  async ended(): Promise<void> {
    await Promise.all(this.#workers);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #work(): Promise<void> {
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      try {
        const next = await job();
        if (next !== undefined) this.#queue.push(next);
      } catch (error) {
        this.#fail(error);
      }
      if (this.#failure !== undefined) return;
    }
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#onFailure();
  }
}
