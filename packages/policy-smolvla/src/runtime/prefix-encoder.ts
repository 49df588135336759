import type { RgbImage } from '@zk0/core';
import { boolTensor, float32Tensor, int64Tensor, sharedTensor, type Tensor } from '@zk0/onnx-train';
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
  readonly #key: string;

  constructor(runtime: ModelRuntime, shape: GraphShape) {
    this.#runtime = runtime;
    this.#shape = shape;
    this.#key = JSON.stringify([shape.batch, shape.cameras, shape.emptyCameras, shape.languageTokens]);
  }

  /** Values of one camera image after the vision encoder. */
  get imageTokenValues(): number {
    const { config } = this.#runtime;
    return modelSizes(config).imageTokens * config.text.hiddenSize;
  }

  /** Keys (or values) of one frame, over all layers. */
  get prefixValues(): number {
    const { prefixLayers, kvWidth } = modelSizes(this.#runtime.config);
    return prefixLayers * this.prefixTokens * kvWidth;
  }

  /** Tokens of the prefix without the state. */
  get prefixTokens(): number {
    return prefixLength(this.#runtime.config, this.#shape);
  }

  /** Image tokens of exactly `batch` frames: float32 [batch, cameras, tokens, width]. */
  async imageTokens(frames: readonly (readonly RgbImage[])[]): Promise<Float32Array> {
    const { config } = this.#runtime;
    const { batch, cameras } = this.#shape;
    const side = config.imageSize;
    const size = 3 * side * side;
    const images = sharedTensor('float32', [batch * cameras, 3, side, side]);
    const data = images.data as Float32Array;
    frames.forEach((views, frame) => {
      views.forEach((image, camera) => {
        const begin = (frame * cameras + camera) * size;
        resizeWithPad(image, side, data.subarray(begin, begin + size));
      });
    });
    const session = await this.#runtime.session(`vision ${batch * cameras}`, () =>
      buildVisionGraph(config, batch * cameras, this.#runtime.weights),
    );
    const { imageTokens } = await session.run({ images });
    return imageTokens!.data as Float32Array;
  }

  /** Keys, values and mask of exactly `batch` frames, from their image tokens and tasks. */
  async prefix(imageTokens: Float32Array, tasks: readonly TokenizedTask[]): Promise<PrefixBatch> {
    const { config } = this.#runtime;
    const { batch, cameras, languageTokens } = this.#shape;
    const ids = new BigInt64Array(batch * languageTokens);
    const mask = new Uint8Array(batch * languageTokens);
    tasks.forEach((task, row) => {
      for (let token = 0; token < languageTokens; token++) {
        ids[row * languageTokens + token] = BigInt(task.ids[token]!);
        mask[row * languageTokens + token] = task.mask[token]!;
      }
    });
    const session = await this.#runtime.session(`prefix ${this.#key}`, () =>
      buildPrefixGraph(config, this.#shape, this.#runtime.weights),
    );
    const { prefixKeys, prefixValues, prefixMask } = await session.run({
      imageTokens: float32Tensor(imageTokens, [batch, cameras, modelSizes(config).imageTokens, config.text.hiddenSize]),
      imageMask: boolTensor(new Uint8Array(batch * cameras).fill(1), [batch, cameras]),
      tokenIds: int64Tensor(ids, [batch, languageTokens]),
      tokenMask: boolTensor(mask, [batch, languageTokens]),
    });
    return { prefixKeys: prefixKeys!, prefixValues: prefixValues!, prefixMask: prefixMask! };
  }

  /** From images to keys and values. */
  async encode(frames: readonly FrameView[]): Promise<PrefixBatch> {
    const tokens = await this.imageTokens(frames.map(({ images }) => images));
    return this.prefix(tokens, frames.map(({ task }) => task));
  }
}
