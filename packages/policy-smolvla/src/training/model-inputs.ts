import { decodeFloat16, type WorkHooks } from '@zk0/core';
import type { Tensor, Tensors } from '@zk0/onnx-train';
import { splitPrefixRecord, type FrameStore } from '../cache/frame-store.ts';
import type { PrefixSource } from '../model/graph-inputs.ts';
import type { GraphShape } from '../model/graph-shape.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';
import { PrefixEncoder, type FrameView } from '../runtime/prefix-encoder.ts';
import type { DatasetBinding } from './dataset-binding.ts';
import type { FeedPlaces } from './feed-places.ts';

/** Inputs that have been read; computing what is left of them is the caller's to start. */
export type FeedsToCome = () => Promise<Tensors>;

/** Where the model's view of a batch comes from. */
export interface ModelInputs {
  /** What the train and evaluate graphs take of it. */
  readonly source: PrefixSource;
  /** Does ahead whatever these frames need, once. */
  prepare(frames: readonly number[], hooks: WorkHooks): Promise<void>;
  /**
   * What the train and evaluate graphs take beside vectors, noise and weights; rows behind `frames` repeat the last. Null where
   * a frame turned out unreadable, which the dataset's binding knows then: others have to be drawn.
   *
   * @param places where what is read may lie
   * @throws PolicyError CORRUPT_FRAMES
   */
  feeds(frames: readonly number[], shape: GraphShape, places: FeedPlaces): Promise<FeedsToCome | null>;
  close(): Promise<void>;
}

/** Every frame is decoded whenever it is needed, and encoded here unless the graph starts from images; nothing is kept. */
export class UncachedInputs implements ModelInputs {
  readonly source: PrefixSource;
  readonly #binding: DatasetBinding;
  readonly #runtime: ModelRuntime;

  constructor(binding: DatasetBinding, runtime: ModelRuntime) {
    this.source = { from: runtime.config.trainExpertOnly ? 'tokens' : 'images' };
    this.#binding = binding;
    this.#runtime = runtime;
  }

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  async feeds(frames: readonly number[], shape: GraphShape): Promise<FeedsToCome | null> {
    const encoder = new PrefixEncoder(this.#runtime, shape);
    const views = await viewsOf(this.#binding, frames, shape.batch);
    if (views === null) return null;
    if (this.source.from === 'images') {
      const feeds = encoder.imageFeeds(views);
      return () => Promise.resolve(feeds);
    }
    const tasks = views.map(({ task }) => task);
    return async () => encoder.tokenFeeds(await encoder.imageTokens(views.map(({ images }) => images)), tasks);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Image tokens come from disk; the text model sees them each time. */
export class VisionCachedInputs implements ModelInputs {
  readonly source = { from: 'tokens' } as const;
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

  async feeds(frames: readonly number[], shape: GraphShape, places: FeedPlaces): Promise<FeedsToCome | null> {
    const encoder = new PrefixEncoder(this.#runtime, shape);
    const size = shape.cameras * encoder.imageTokenValues;
    const tokens = places.next({ tokens: { dtype: 'float32', shape: [shape.batch * size] } }).tokens.data as Float32Array;
    const rows = padded(frames, shape.batch);
    let row = 0;
    for await (const record of this.#store.records(rows)) {
      if (record === null) return null;
      const halves = new Uint16Array(record.buffer, record.byteOffset, size);
      decodeFloat16(halves, tokens.subarray(row * size, (row + 1) * size));
      row++;
    }
    const feeds = encoder.tokenFeeds(tokens, rows.map((frame) => this.#binding.task(frame)));
    return () => Promise.resolve(feeds);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** Keys and values of every layer come from disk as float16: no frozen work is left but the state token's. */
export class PrefixCachedInputs implements ModelInputs {
  readonly source: { readonly from: 'cache'; readonly type: 'float16' | 'float32' };
  readonly #runtime: ModelRuntime;
  readonly #store: FrameStore;

  constructor(runtime: ModelRuntime, store: FrameStore) {
    this.#runtime = runtime;
    this.#store = store;
    this.source = { from: 'cache', type: runtime.takesFloat16 ? 'float16' : 'float32' };
  }

  prepare(frames: readonly number[], hooks: WorkHooks): Promise<void> {
    return this.#store.fill(frames, hooks);
  }

  async feeds(frames: readonly number[], shape: GraphShape, places: FeedPlaces): Promise<FeedsToCome | null> {
    const encoder = new PrefixEncoder(this.#runtime, shape);
    const sizes = encoder.prefixShape;
    const { type } = this.source;
    const tensors = places.next({
      prefixKeys: { dtype: type, shape: sizes },
      prefixValues: { dtype: type, shape: sizes },
      prefixMask: { dtype: 'bool', shape: [shape.batch, encoder.prefixTokens] },
    });
    let row = 0;
    for await (const record of this.#store.records(padded(frames, shape.batch))) {
      if (record === null) return null;
      const parts = splitPrefixRecord(record, encoder.prefixValues);
      for (const [name, bytes] of Object.entries(parts)) putRow(tensors[name as keyof typeof tensors], row, bytes);
      row++;
    }
    return () => Promise.resolve(tensors);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** Writes a record's bytes as a row of a tensor, 16-bit floats widened where the tensor is of float32. */
function putRow({ dtype, data }: Tensor, row: number, bytes: Uint8Array): void {
  if (dtype !== 'float32') {
    new Uint8Array(data.buffer, row * bytes.byteLength, bytes.byteLength).set(bytes);
    return;
  }
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  decodeFloat16(halves, data.subarray(row * halves.length, (row + 1) * halves.length));
}

function padded(frames: readonly number[], batch: number): number[] {
  return Array.from({ length: batch }, (_, row) => frames[Math.min(row, frames.length - 1)]!);
}

async function viewsOf(binding: DatasetBinding, frames: readonly number[], batch: number): Promise<FrameView[] | null> {
  const views: FrameView[] = [];
  for (const view of await binding.views(frames)) {
    if (view === null) return null;
    views.push(view);
  }
  while (views.length < batch) views.push(views.at(-1)!);
  return views;
}
