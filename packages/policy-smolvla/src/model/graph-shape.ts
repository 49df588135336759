import type { DataType, InitializerData } from '@zk0/onnx-train';
import { modelSizes, type SmolVlaModelConfig } from './config.ts';

/** The sizes that a graph is written for, beside the model's own. Every graph is static in all of them. */
export interface GraphShape {
  readonly batch: number;
  /** Cameras with an image; a sample that lacks one masks it. */
  readonly cameras: number;
  /**
   * Cameras that no sample has (LeRobot's `empty_cameras`). They cost nothing and change nothing, except that with
   * `addImageSpecialTokens` their special tokens are seen.
   */
  readonly emptyCameras: number;
  /** Length that token ids are padded to. Padding is masked and changes nothing. */
  readonly languageTokens: number;
  /** Real action dimensions, at most `maxActionDim`; the loss counts these. */
  readonly actionSize: number;
}

/** A frozen tensor: where its bytes are. Types other than float32 are cast inside the graph. */
export interface FrozenTensor {
  readonly dtype: DataType;
  readonly data: InitializerData;
}

/** Finds the data of a tensor that is part of a graph, by LeRobot's name. */
export type WeightSource = (name: string) => FrozenTensor | undefined;

/** Tokens of the prefix without the state token: what the cached keys and values are of. */
export function prefixLength(config: SmolVlaModelConfig, shape: GraphShape): number {
  const special = config.addImageSpecialTokens ? 3 : 0;
  const perCamera = modelSizes(config).imageTokens + special;
  return shape.cameras * perCamera + shape.emptyCameras * special + shape.languageTokens;
}

/** Name of the output that holds the loss's gradient for a trained weight. */
export function gradientName(weight: string): string {
  return `gradient/${weight}`;
}

/** What a training step renews of a weight: itself, AdamW's moments, and the sum of its gradients where those are corrected. */
export type TrainingPart = '' | 'firstMoment/' | 'secondMoment/' | 'gradientSum/';

/** Name of a training loop's output: a part of a weight's state after the last step. */
export function nextName(part: TrainingPart, weight: string): string {
  return `next/${part}${weight}`;
}
