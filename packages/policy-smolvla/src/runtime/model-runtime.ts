import { dataTypeOf, createSession, type Device, type OnnxModel, type Session } from '@zk0/onnx-train';
import type { CheckpointWeights } from '../checkpoint/weights.ts';
import type { SmolVlaModelConfig } from '../model/config.ts';
import type { WeightSource } from '../model/graph-shape.ts';

/** A session that is opened when first used. */
interface Slot {
  readonly session: Promise<Session>;
}

/**
 * A model's sessions, each made when first asked for and kept until the runtime is closed, so that learners and actors of
 * one policy share them.
 */
export class ModelRuntime {
  readonly config: SmolVlaModelConfig;
  readonly device: Device;
  readonly threads: number;
  /** Reads every tensor from the checkpoint; trained ones are left to the feeds. */
  readonly weights: WeightSource;
  readonly #slots = new Map<string, Slot>();
  #closed = false;

  constructor(config: SmolVlaModelConfig, weights: CheckpointWeights, device: Device, threads: number) {
    this.config = config;
    this.device = device;
    this.threads = threads;
    this.weights = (name) => {
      if (!weights.has(name)) return undefined;
      const { path, begin, dtype } = weights.place(name);
      return { dtype: dataTypeOf(dtype), data: { external: { path, offset: begin } } };
    };
  }

  /**
   * The session of a graph; `key` names the graph and every size it was built for. `manyRows` lets onnxruntime keep frozen
   * weights in the order that its product reads them in: a sixth faster where many rows share a weight, at the price of
   * loading them twice. The graphs of the expert take its weights as inputs and run a token through the frozen ones.
   */
  async session(key: string, manyRows: boolean, build: () => OnnxModel): Promise<Session> {
    if (this.#closed) throw new Error('the model runtime is closed');
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      const config = { 'session.disable_prepacking': manyRows ? '0' : '1' };
      const options = { device: this.device, threads: this.threads, config };
      slot = { session: Promise.resolve().then(build).then((model) => createSession(model, options)) };
      this.#slots.set(key, slot);
      slot.session.catch(() => this.#slots.delete(key));
    }
    return slot.session;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const slots = [...this.#slots.values()];
    this.#slots.clear();
    for (const { session } of slots) await session.then((open) => open.close(), () => undefined);
  }
}
