/**
 * @module
 * ONNX graphs written and differentiated from TypeScript, optimisers, and sessions on the stock onnxruntime-node.
 */
export { gradients } from './autodiff/gradients.ts';
export { currentCudaState, type CudaState } from './cuda/load.ts';
export { leastDriver } from './cuda/needs.ts';
export type { CudaLink } from './cuda/link-file.ts';
export { forgetCuda, useCuda, type CudaUse } from './cuda/use-cuda.ts';
export { CudaError, GraphError, NotDifferentiableError, SessionError, type CudaErrorCode, type SessionErrorCode } from './errors.ts';
export { DATA_TYPES, dataTypeOf, type DataType } from './graph/data-type.ts';
export type { MemoryNeeds } from './graph/memory-needs.ts';
export { encodeModel, OPSET, type OnnxModel } from './graph/encode-model.ts';
export {
  GraphBuilder,
  MAX_EMBEDDED_BYTES,
  type ExternalData,
  type GraphOptions,
  type InitializerData,
  type ProductType,
} from './graph/graph-builder.ts';
export { decodeModelProto, type GraphProto, type NodeProto } from './proto/onnx-schema.ts';
export type { Attribute, Attributes, GraphNode, Value, ValueType } from './graph/value.ts';
export * as ops from './ops/index.ts';
export * as nn from './ops/nn.ts';
export type { AttentionOptions } from './ops/nn.ts';
export type { LoopResult, LoopScope, LoopStep, Operand } from './ops/index.ts';
export {
  adamWSchedule,
  adamWStep,
  clipGlobalNorm,
  COEFFICIENTS,
  globalNorm,
  sgdStep,
  type AdamWState,
} from './optim/graph-optimizer.ts';
export { INITIAL_LOSS_SCALE, LEAST_LOSS_SCALE, LOSS_SCALING, nextLossScale, type LossScale } from './optim/loss-scaling.ts';
export { GradientError, Optimizer, type OptimizerMoments, type OptimizerOptions, type OptimizerStep } from './optim/optimizer.ts';
export { OptimizerArena } from './optim/optimizer-arena.ts';
export { differentiate, type Differentiated, type DifferentiateOptions } from './autodiff/differentiate.ts';
export { writeTrainingStep, type TrainingStep, type TrainingStepOptions } from './optim/training-step.ts';
export { writeTrainingLoop, type TrainingLoop, type TrainingLoopResult } from './optim/training-loop.ts';
export type { AdamWSettings, OptimizerSettings, SgdSettings } from './optim/update-rules.ts';
export { deviceConfig, deviceHint, listDevices, type Device, type DeviceInfo } from './session/devices.ts';
export { listGpus, type Gpu } from './session/gpus.ts';
export { reasonAgainstPrecision } from './session/probe-precision.ts';
export { resolveDevice, tryDevice, type DeviceChoice, type DeviceTrial } from './session/resolve-device.ts';
export { runtimeVersion } from './session/runtime-folder.ts';
export { createSession, type RunOptions, type Session, type SessionOptions } from './session/session.ts';
export {
  boolTensor,
  float32Tensor,
  int64Tensor,
  sharedTensor,
  type Tensor,
  type TensorData,
  type Tensors,
  type TensorType,
} from './session/tensor.ts';
