import type { RgbImage } from '@zk0/core';
import { boolTensor, float32Tensor, int64Tensor, sharedTensor, type Tensor, type Tensors } from '@zk0/onnx-train';
import { buildPrefixGraph, buildVisionGraph } from '../model/graphs.ts';
import { modelSizes } from '../model/config.ts';
import { prefixLength, type GraphShape } from '../model/graph-shape.ts';
import { resizeWithPad } from '../processing/resize-with-pad.ts';
import type { TokenizedTask } from '../tokenizer/tokenizer.ts';
import type { ModelRuntime } from './model-runtime.ts';

/** Keys, values and mask of a batch's image and language tokens, as the train, evaluate and sample graphs take them. */
export interface PrefixBatch {
  readonly prefixKeys: Tensor;
  readonly prefixValues: Tensor;
  readonly prefixMask: Tensor;
}

/** What a frame shows and asks for. */
export interface FrameView {
  /** One image per camera, in the policy's order. */
  readonly images: readonly RgbImage[];
  readonly task: TokenizedTask;
}

/** Runs the frozen part of the model: images to image tokens, image and language tokens to keys and values. */
export class PrefixEncoder {
  readonly #runtime: ModelRuntime;
  readonly #shape: GraphShape;

  constructor(runtime: ModelRuntime, shape: GraphShape) {
    this.#runtime = runtime;
    this.#shape = shape;
  }

  /** Values of one camera image after the vision encoder. */
  get imageTokenValues(): number {
    const { config } = this.#runtime;
    return modelSizes(config).imageTokens * config.text.hiddenSize;
  }

  /** Tokens of the prefix without the state. */
  get prefixTokens(): number {
    return prefixLength(this.#runtime.config, this.#shape);
  }

  /** Shape of a batch's keys (or values). */
  get prefixShape(): readonly [batch: number, layers: number, tokens: number, width: number] {
    const { prefixLayers, kvWidth } = modelSizes(this.#runtime.config);
    return [this.#shape.batch, prefixLayers, this.prefixTokens, kvWidth];
  }

  /** Keys (or values) of one frame, over all layers. */
  get prefixValues(): number {
    const [, layers, tokens, width] = this.prefixShape;
    return layers * tokens * width;
  }

  /**
   * Image tokens of frames: float32 [frames, cameras, tokens, width]. One image a run: what an image leaves between two
   * layers stays in the processor's cache, and the next image is resized meanwhile.
   */
  async imageTokens(frames: readonly (readonly RgbImage[])[]): Promise<Float32Array> {
    const { config, weights, precision: products } = this.#runtime;
    const session = await this.#runtime.session('vision', true, () => buildVisionGraph(config, 1, weights, { products }));
    const tokens = sharedTensor('float32', [frames.length, this.#shape.cameras, this.imageTokenValues]).data as Float32Array;
    let running = Promise.resolve();
    for (const [index, image] of frames.flat().entries()) {
      const images = this.#pixels([[image]], [1]);
      await running;
      running = session.run({ images }).then(({ imageTokens }) => {
        tokens.set(imageTokens!.data as Float32Array, index * this.imageTokenValues);
      });
    }
    await running;
    return tokens;
  }

  /** Keys, values and mask of exactly `batch` frames, from their image tokens and tasks. */
  async prefix(imageTokens: Float32Array, tasks: readonly TokenizedTask[]): Promise<PrefixBatch> {
    const { config, weights, precision: products } = this.#runtime;
    const { batch, cameras, emptyCameras, languageTokens } = this.#shape;
    const key = JSON.stringify([batch, cameras, emptyCameras, languageTokens]);
    const session = await this.#runtime.session(`prefix ${key}`, true, () => buildPrefixGraph(config, this.#shape, weights, { products }));
    const { prefixKeys, prefixValues, prefixMask } = await session.run(this.tokenFeeds(imageTokens, tasks));
    return { prefixKeys: prefixKeys!, prefixValues: prefixValues!, prefixMask: prefixMask! };
  }

  /** From images to keys and values. */
  async encode(frames: readonly FrameView[]): Promise<PrefixBatch> {
    const tokens = await this.imageTokens(frames.map(({ images }) => images));
    return this.prefix(tokens, frames.map(({ task }) => task));
  }

  /** What the graphs that start from image tokens take. */
  tokenFeeds(imageTokens: Float32Array, tasks: readonly TokenizedTask[]): Tensors {
    const { config } = this.#runtime;
    const { batch, cameras } = this.#shape;
    return {
      imageTokens: float32Tensor(imageTokens, [batch, cameras, modelSizes(config).imageTokens, config.text.hiddenSize]),
      ...this.#language(tasks),
    };
  }

  /** What the graphs that start from images take. */
  imageFeeds(frames: readonly FrameView[]): Tensors {
    const { batch, cameras } = this.#shape;
    return {
      images: this.#pixels(frames.map(({ images }) => images), [batch, cameras]),
      ...this.#language(frames.map(({ task }) => task)),
    };
  }

  #pixels(frames: readonly (readonly RgbImage[])[], leading: readonly number[]): Tensor {
    const side = this.#runtime.config.imageSize;
    const size = 3 * side * side;
    const tensor = sharedTensor('float32', [...leading, 3, side, side]);
    const data = tensor.data as Float32Array;
    frames.flat().forEach((image, index) => resizeWithPad(image, side, data.subarray(index * size, (index + 1) * size)));
    return tensor;
  }

  #language(tasks: readonly TokenizedTask[]): Tensors {
    const { batch, cameras, languageTokens } = this.#shape;
    const ids = new BigInt64Array(batch * languageTokens);
    const mask = new Uint8Array(batch * languageTokens);
    tasks.forEach((task, row) => {
      for (let token = 0; token < languageTokens; token++) {
        ids[row * languageTokens + token] = BigInt(task.ids[token]!);
        mask[row * languageTokens + token] = task.mask[token]!;
      }
    });
    return {
      imageMask: boolTensor(new Uint8Array(batch * cameras).fill(1), [batch, cameras]),
      tokenIds: int64Tensor(ids, [batch, languageTokens]),
      tokenMask: boolTensor(mask, [batch, languageTokens]),
    };
  }
}
