import { decodeFloat16, type WorkHooks } from '@zk0/core';
import { sharedTensor, type OnnxModel, type Tensors } from '@zk0/onnx-train';
import { splitPrefixRecord, type FrameStore } from '../cache/frame-store.ts';
import type { GraphShape } from '../model/graph-shape.ts';
import {
  buildEvaluateGraph,
  buildFullEvaluateGraph,
  buildFullTrainGraph,
  buildTrainGraph,
} from '../model/graphs.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';
import { PrefixEncoder, type FrameView } from '../runtime/prefix-encoder.ts';
import type { DatasetBinding } from './dataset-binding.ts';

/** Where the model's view of a batch comes from, and the graphs that take it. */
export interface ModelInputs {
  /** Distinguishes graphs that take different inputs. */
  readonly kind: 'prefix' | 'prefix16' | 'images';
  /** Does ahead whatever these frames need, once. */
  prepare(frames: readonly number[], hooks: WorkHooks): Promise<void>;
  /** What the train and evaluate graphs take beside vectors, noise and weights; rows behind `frames` repeat the last. */
  feeds(frames: readonly number[], shape: GraphShape): Promise<Tensors>;
  trainGraph(shape: GraphShape): OnnxModel;
  evaluateGraph(shape: GraphShape): OnnxModel;
  close(): Promise<void>;
}

/** Every frame is decoded and encoded whenever it is needed; nothing is kept. */
export class UncachedInputs implements ModelInputs {
  readonly kind = 'prefix';
  readonly #binding: DatasetBinding;
  readonly #runtime: ModelRuntime;

  constructor(binding: DatasetBinding, runtime: ModelRuntime) {
    this.#binding = binding;
    this.#runtime = runtime;
  }

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  async feeds(frames: readonly number[], shape: GraphShape): Promise<Tensors> {
    const views = await viewsOf(this.#binding, frames, shape.batch);
    return { ...(await new PrefixEncoder(this.#runtime, shape).encode(views)) };
  }

  trainGraph(shape: GraphShape): OnnxModel {
    return buildTrainGraph(this.#runtime.config, shape, this.#runtime.weights);
  }

  evaluateGraph(shape: GraphShape): OnnxModel {
    return buildEvaluateGraph(this.#runtime.config, shape, this.#runtime.weights);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Image tokens come from disk; image and language tokens go through the text model each time. */
export class VisionCachedInputs implements ModelInputs {
  readonly kind = 'prefix';
  readonly #binding: DatasetBinding;
  readonly #runtime: ModelRuntime;
  readonly #store: FrameStore;

  constructor(binding: DatasetBinding, runtime: ModelRuntime, store: FrameStore) {
    this.#binding = binding;
    this.#runtime = runtime;
    this.#store = store;
  }

  prepare(frames: readonly number[], hooks: WorkHooks): Promise<void> {
    return this.#store.fill(frames, hooks);
  }

  async feeds(frames: readonly number[], shape: GraphShape): Promise<Tensors> {
    const encoder = new PrefixEncoder(this.#runtime, shape);
    const size = shape.cameras * encoder.imageTokenValues;
    const tokens = sharedTensor('float32', [shape.batch * size]).data as Float32Array;
    const rows = padded(frames, shape.batch);
    for (const [row, frame] of rows.entries()) {
      const record = await this.#store.record(frame);
      const halves = new Uint16Array(record.buffer, record.byteOffset, size);
      decodeFloat16(halves, tokens.subarray(row * size, (row + 1) * size));
    }
    const tasks = rows.map((frame) => this.#binding.task(frame));
    return { ...(await encoder.prefix(tokens, tasks)) };
  }

  trainGraph(shape: GraphShape): OnnxModel {
    return buildTrainGraph(this.#runtime.config, shape, this.#runtime.weights);
  }

  evaluateGraph(shape: GraphShape): OnnxModel {
    return buildEvaluateGraph(this.#runtime.config, shape, this.#runtime.weights);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** Keys and values of every layer come from disk as float16: no frozen work is left but the state token's. */
export class PrefixCachedInputs implements ModelInputs {
  readonly kind = 'prefix16';
  readonly #runtime: ModelRuntime;
  readonly #store: FrameStore;

  constructor(runtime: ModelRuntime, store: FrameStore) {
    this.#runtime = runtime;
    this.#store = store;
  }

  prepare(frames: readonly number[], hooks: WorkHooks): Promise<void> {
    return this.#store.fill(frames, hooks);
  }

  async feeds(frames: readonly number[], shape: GraphShape): Promise<Tensors> {
    const encoder = new PrefixEncoder(this.#runtime, shape);
    const sizes = encoder.prefixShape;
    const tensors = {
      prefixKeys: sharedTensor('float16', sizes),
      prefixValues: sharedTensor('float16', sizes),
      prefixMask: sharedTensor('bool', [shape.batch, encoder.prefixTokens]),
    };
    for (const [row, frame] of padded(frames, shape.batch).entries()) {
      const parts = splitPrefixRecord(await this.#store.record(frame), encoder.prefixValues);
      for (const [name, bytes] of Object.entries(parts)) {
        const { buffer } = tensors[name as keyof typeof tensors].data;
        new Uint8Array(buffer, row * bytes.byteLength, bytes.byteLength).set(bytes);
      }
    }
    return tensors;
  }

  trainGraph(shape: GraphShape): OnnxModel {
    return buildTrainGraph(this.#runtime.config, shape, this.#runtime.weights, { prefixType: 'float16' });
  }

  evaluateGraph(shape: GraphShape): OnnxModel {
    return buildEvaluateGraph(this.#runtime.config, shape, this.#runtime.weights, { prefixType: 'float16' });
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** Images go into the graph itself: for policies whose vision-language model is trained too. */
export class ImageInputs implements ModelInputs {
  readonly kind = 'images';
  readonly #binding: DatasetBinding;
  readonly #runtime: ModelRuntime;

  constructor(binding: DatasetBinding, runtime: ModelRuntime) {
    this.#binding = binding;
    this.#runtime = runtime;
  }

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  async feeds(frames: readonly number[], shape: GraphShape): Promise<Tensors> {
    const views = await viewsOf(this.#binding, frames, shape.batch);
    return new PrefixEncoder(this.#runtime, shape).imageFeeds(views);
  }

  trainGraph(shape: GraphShape): OnnxModel {
    return buildFullTrainGraph(this.#runtime.config, shape, this.#runtime.weights);
  }

  evaluateGraph(shape: GraphShape): OnnxModel {
    return buildFullEvaluateGraph(this.#runtime.config, shape, this.#runtime.weights);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function padded(frames: readonly number[], batch: number): number[] {
  return Array.from({ length: batch }, (_, row) => frames[Math.min(row, frames.length - 1)]!);
}

async function viewsOf(binding: DatasetBinding, frames: readonly number[], batch: number): Promise<FrameView[]> {
  const views = await Promise.all(frames.map((frame) => binding.view(frame)));
  while (views.length < batch) views.push(views.at(-1)!);
  return views;
}
