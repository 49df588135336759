import type { Session, Tensors } from '@zk0/onnx-train';

/**
 * A session whose runs name the trained weights they are for. The processor reads them where they are; on a device they
 * stay, and are only brought there again when a run names others.
 */
export class WeightedSession {
  readonly #session: Session;
  readonly #stays: boolean;
  /** What the device has. */
  #loaded: Tensors | undefined;

  /** @param stays whether the trained weights are the session's state, rather than fed. */
  constructor(session: Session, stays: boolean) {
    this.#session = session;
    this.#stays = stays;
  }

  async run(weights: Tensors, feeds: Tensors, outputs?: readonly string[]): Promise<Tensors> {
    const options = outputs === undefined ? {} : { outputs };
    if (!this.#stays) return this.#session.run({ ...feeds, ...weights }, options);
    if (this.#loaded === weights) return this.#session.run(feeds, options);
    // Both queue up before anybody else can come between them.
    this.#loaded = weights;
    const loading = this.#session.setState(weights);
    const running = this.#session.run(feeds, options);
    const [, result] = await Promise.all([loading, running]).catch((error: unknown) => {
      this.#loaded = undefined;
      throw error;
    });
    return result;
  }
}
