import { dataTypeOf, createSession, deviceConfig, SessionError, type Device, type OnnxModel, type ProductType, type Session, type SessionOptions } from '@zk0/onnx-train';
import type { CheckpointWeights } from '../checkpoint/weights.ts';
import type { SmolVlaModelConfig } from '../model/config.ts';
import type { WeightSource } from '../model/graph-shape.ts';
import { trainedWeightSpecs } from '../model/weights.ts';
import { HostMemoryPool } from './host-memory.ts';
import { WeightedSession } from './weighted-session.ts';

/** Where the optimiser runs: beside the graph over arrays, in the graph step by step, or in the graph for many steps. */
export type TrainingPlace = 'host' | 'stepwise' | 'loop';

/** What a runtime is made for. */
export interface RuntimeOptions {
  readonly device: Device;
  readonly threads: number;
  /** Element type of matrix products. */
  readonly precision: ProductType;
  /** Whether 16-bit floats can be fed: a cache's keys and values need not be widened on their way then. */
  readonly takesFloat16: boolean;
  readonly training: TrainingPlace;
  /** Most steps of one run, where many go into one. */
  readonly stepsPerRun?: number | undefined;
}

/** A session that is opened when first used. */
interface Slot {
  readonly session: Promise<Session>;
  weighted?: Promise<WeightedSession>;
  /** Ends when whoever has the session to itself is done. */
  free: Promise<unknown>;
}

/**
 * A model's sessions, each made when first asked for and kept until the runtime is closed, so that learners and actors of
 * one policy share them.
 */
export class ModelRuntime {
  readonly config: SmolVlaModelConfig;
  readonly device: Device;
  readonly threads: number;
  readonly precision: ProductType;
  readonly takesFloat16: boolean;
  readonly training: TrainingPlace;
  readonly stepsPerRun: number | undefined;
  /** Reads every tensor from the checkpoint; trained ones are left to the feeds. */
  readonly weights: WeightSource;
  /** Where rounds on the processor work. */
  readonly hostMemory: HostMemoryPool;
  /** In how many parts batches of a size are computed for the sake of the device's memory, once that is planned. */
  readonly batchParts = new Map<number, number>();
  readonly #slots = new Map<string, Slot>();
  #closed = false;

  readonly #checkpoint: CheckpointWeights;

  constructor(config: SmolVlaModelConfig, weights: CheckpointWeights, options: RuntimeOptions) {
    this.config = config;
    this.hostMemory = new HostMemoryPool(config);
    this.#checkpoint = weights;
    this.device = options.device;
    this.threads = options.threads;
    this.precision = options.precision;
    this.takesFloat16 = options.takesFloat16;
    this.training = options.training;
    this.stepsPerRun = options.stepsPerRun;
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
    return this.#slot(key, manyRows, build, {}).session;
  }

  /** The session of a graph that takes the trained weights, which stay on a device until others are asked for. */
  async weighted(key: string, manyRows: boolean, build: () => OnnxModel): Promise<WeightedSession> {
    const names = trainedWeightSpecs(this.config).map(({ name }) => name);
    const stays = this.device !== 'cpu';
    const slot = this.#slot(key, manyRows, build, stays ? { state: Object.fromEntries(names.map((name) => [name, null])) } : {});
    return (slot.weighted ??= slot.session.then((session) => new WeightedSession(session, stays)));
  }

  /** Has a session with a state to itself for as long as `use` takes; others wait. */
  async exclusively<T>(
    key: string,
    manyRows: boolean,
    build: () => OnnxModel,
    options: Pick<SessionOptions, 'state' | 'guards'>,
    use: (session: Session) => Promise<T>,
  ): Promise<T> {
    const slot = this.#slot(key, manyRows, build, options);
    const result = slot.free.then(() => slot.session).then(use);
    slot.free = result.catch(() => undefined);
    return result;
  }

  /**
   * Does work with the runtime's sessions. When a run fails in it, all of them are ended, so that the next work begins with new ones: those of a
   * graphics card that was lost would fail for ever.
   */
  async recovering<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof SessionError && error.code === 'RUN_FAILED') await this.free();
      throw error;
    }
  }

  /** A runtime of the same model with sessions of its own, to be freed when a piece of work is done. */
  fork(): ModelRuntime {
    return new ModelRuntime(this.config, this.#checkpoint, this);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.free();
  }

  /** Ends every session and frees its memory; what is asked for later opens again. */
  async free(): Promise<void> {
    const slots = [...this.#slots.values()];
    this.#slots.clear();
    this.hostMemory.clear();
    for (const { session } of slots) await session.then((open) => open.close(), () => undefined);
  }

  #slot(key: string, manyRows: boolean, build: () => OnnxModel, options: Pick<SessionOptions, 'state' | 'guards'>): Slot {
    if (this.#closed) throw new Error('the model runtime is closed');
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const config = { ...deviceConfig(this.device), 'session.disable_prepacking': manyRows ? '0' : '1' };
    const settings = { device: this.device, threads: this.threads, config, ...options };
    const session = Promise.resolve().then(build).then((model) => createSession(model, settings));
    const slot: Slot = { session, free: Promise.resolve() };
    this.#slots.set(key, slot);
    session.catch(() => this.#slots.delete(key));
    return slot;
  }
}
