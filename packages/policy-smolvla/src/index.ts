/**
 * @module
 * SmolVLA on `@zk0/onnx-train`: checkpoints, pre- and post-processing, training, evaluation, acting.
 */
export { PolicyError, type PolicyErrorCode } from './errors.ts';
export {
  expertHiddenSize,
  expertIntermediateSize,
  type FeatureConfig,
  type NormalizationMode,
  type SmolVlaConfig,
} from './config/policy-config.ts';
export { imageTokenCount, type TextConfig, type VisionConfig, type VlmConfig } from './config/vlm-config.ts';
export type {
  ActOptions,
  Actor,
  ActorOptions,
  CacheMode,
  LearnerOptions,
  Observation,
  OpenPolicy,
  OpenPolicyOptions,
  PolicyFeatures,
  PredictedChunk,
  SaveCheckpointOptions,
  SmolVlaPolicy,
  TrainingDefaults,
} from './policy.ts';
