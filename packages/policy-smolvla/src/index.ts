/**
 * @module
 * SmolVLA on `@zk0/onnx-train`: checkpoints, pre- and post-processing, training, evaluation, acting.
 */
export { NotFiniteError, PolicyError, type PolicyErrorCode } from './errors.ts';
export { estimateTraining, type PlannedTraining } from './cost/estimate-training.ts';
export { convertCheckpoint, type ConvertCheckpointOptions } from './convert-checkpoint.ts';
export { convertToAdapter, type ConvertToAdapterOptions } from './convert-to-adapter.ts';
export type { AdapterReport } from './checkpoint/save-adapter.ts';
export { openPolicy } from './open-policy.ts';
export { matchCameras, type CameraBinding, type CameraNeeds } from './processing/cameras.ts';
export { describeCutTasks } from './processing/cut-tasks.ts';
export { proposeRenames } from './processing/propose-cameras.ts';
export { forgetCuda, listGpus, runtimeVersion, useCuda, type CudaUse, type Gpu } from '@zk0/onnx-train';
export { deviceChecks, type DeviceCheck } from './runtime/device-checks.ts';
export { recordingChecks, type PolicyJudge } from './runtime/recording-checks.ts';
export { describeDevice } from './runtime/describe-device.ts';
export { isVerified, verificationRows } from './verify/describe-verification.ts';
export { verifyDevice, type DeviceVerification, type VerifiedPart, type VerifyOptions } from './verify/verify-device.ts';
export type { FeatureConfig, NormalizationMode, SmolVlaConfig } from './config/policy-config.ts';
export type { LoraSettings, SmolVlaModelConfig, TextSizes, VisionSizes } from './model/config.ts';
export type {
  ActOptions,
  ActRequest,
  Actor,
  ActorOptions,
  CacheMode,
  LearnerOptions,
  Observation,
  OpenPolicyOptions,
  ParameterCount,
  PolicyFeatures,
  PredictedChunk,
  SaveCheckpointOptions,
  SmolVlaPolicy,
  TrainingDefaults,
} from './policy.ts';
