import type { WorkHooks } from '@zk0/core';
import type { OnnxModel, Tensors } from '@zk0/onnx-train';
import type { GraphShape } from '../model/graph-shape.ts';
import { buildEvaluateGraph, buildTrainGraph } from '../model/graphs.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';
import { PrefixEncoder } from '../runtime/prefix-encoder.ts';
import type { DatasetBinding } from './dataset-binding.ts';

/** Where the model's view of a batch comes from, and the graphs that take it. */
export interface ModelInputs {
  /** Does ahead whatever these frames need, once. */
  prepare(frames: readonly number[], hooks: WorkHooks): Promise<void>;
  /** What the train and evaluate graphs take beside vectors, noise and weights; rows behind `frames` repeat the last. */
  feeds(frames: readonly number[], shape: GraphShape): Promise<Tensors>;
  /** Distinguishes graphs that take different inputs. */
  readonly kind: string;
  trainGraph(shape: GraphShape): OnnxModel;
  evaluateGraph(shape: GraphShape): OnnxModel;
  close(): Promise<void>;
}

/** Every frame is decoded and encoded whenever it is needed; nothing is kept. */
export class UncachedInputs implements ModelInputs {
  readonly kind = 'float32';
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
    const views = await Promise.all(frames.map((frame) => this.#binding.view(frame)));
    while (views.length < shape.batch) views.push(views.at(-1)!);
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
