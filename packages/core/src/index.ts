/**
 * @module
 * Rounds, tensors, seeds, run configuration, and the contracts the other packages implement. No sockets, no files.
 */
export { describeIssue } from './config/describe-issue.ts';
export { CancelledError, CLIENT_EXCLUDED, errorMessage, InvalidArgumentError, SECURE_DROPPED_OUT, Zk0Error, type Zk0ErrorOptions } from './errors.ts';
export * from './tensors/index.ts';
export {
  decodeSafetensors,
  encodeHeader,
  encodeSafetensors,
  headerLength,
  headerLimits,
  MAX_HEADER_BYTES,
  parseHeader,
  SafetensorsError,
  type HeaderLimits,
  type SafetensorsErrorOptions,
  type SafetensorsHeader,
  type TensorBytes,
  type TensorLocation,
} from './tensors/safetensors.ts';
export {
  encodeParameters,
  hashParameters,
  updateNorm,
  type Float32Tensor,
  type Parameters,
} from './tensors/parameters.ts';
export { copyBytes } from './tensors/copy-bytes.ts';
export { claimRange, coversAll, type ByteRanges } from './tensors/byte-ranges.ts';
export { lowRankRow } from './tensors/low-rank-row.ts';
export { MemoryTensorSink, type MemoryTensorSinkOptions } from './tensors/memory-sink.ts';
export { MemoryTensorSource } from './tensors/memory-source.ts';
export { FIRST_MOMENT, momentSpecs, SECOND_MOMENT } from './tensors/moments.ts';
export { parseRetryAfter, retry, type PassingFailure, type RetryPause, type RetryPolicy } from './retry/retry.ts';
export { Watchdog } from './retry/watchdog.ts';
export { deriveSeed, Random } from './random/random.ts';
export type { TensorPlace, TensorSink, TensorSource } from './contracts/tensor-io.ts';
export {
  originsOf,
  type ActionChunk,
  type CameraInfo,
  type EpisodeSpan,
  type FeatureMoments,
  type FrameOrigin,
  type JointConvention,
  type JointUnit,
  type RgbImage,
  type RobotDataset,
  type RobotDatasetInfo,
} from './contracts/robot-dataset.ts';
export {
  TRIAL_FAILURES,
  type ActOutcome,
  type TrialFailure,
  type World,
  type WorldInfo,
  type WorldObservation,
} from './contracts/world.ts';
export type {
  EvaluateResult,
  FitInstructions,
  FitOptions,
  FitResult,
  KeptOptimizer,
  Learner,
  Metrics,
  Normalizer,
  OptimizerState,
  StepProgress,
  WorkHooks,
} from './contracts/learner.ts';
export { secureAggregationSchema, type SecureAggregationConfig } from './config/secure-aggregation-config.ts';
export { augmentSchema, type AugmentConfig } from './config/augment-config.ts';
export { updateEncodingChoiceSchema, updateEncodingSchema, type UpdateEncoding, type UpdateEncodingChoice } from './config/update-encoding.ts';
export { loraOf, runConfigSchema, type RunConfig, type RunConfigInput } from './config/run-config.ts';
export {
  blobReferenceSchema,
  evaluationSchema,
  publishedParametersSchema,
  runEventSchema,
  type BlobReference,
  type Evaluation,
  type PublishedParameters,
  type RunEvent,
} from './run/events.ts';
export { versionsSince } from './run/staleness.ts';
export { isFinal, type EarlierTask, type Participant, type Participation, type RoundPhase, type RoundState, type RunPhase, type RunState } from './run/state.ts';
export { applyRunEvent, replay } from './run/apply.ts';
export { IllegalTransitionError } from './run/illegal-transition.ts';
export type { SecureStage, SecureState } from './run/secure-state.ts';
export { clientLoss } from './run/client-loss.ts';
export { bestRound, parseStopRule, stopReason, type StopCondition } from './run/stop-rule.ts';
export { allHeard, hasEnough, isDue, nextAction, type NextAction } from './run/next-action.ts';
export { clientProfileSchema, datasetProfile, jointConventionSchema, type ClientProfile } from './federation/client-profile.ts';
export {
  fitInstructionsSchema,
  normalizerSchema,
  runContextSchema,
  type RunContext,
} from './federation/fit-task.ts';
export {
  clientIdSchema,
  heartbeatMessageSchema,
  heartbeatReplySchema,
  joinMessageSchema,
  joinReplySchema,
  jsonObjectSchema,
  MAX_METRIC_VALUE,
  MAX_METRICS,
  MAX_PROFILE_BYTES,
  MAX_TEXT,
  metricsSchema,
  resultReplySchema,
  taskProgressSchema,
  taskResultSchema,
  taskSchema,
  type HeartbeatMessage,
  type HeartbeatReply,
  type JoinMessage,
  type JoinReply,
  type JsonObject,
  type ResultReply,
  type Task,
  type TaskProgress,
  type TaskResult,
} from './federation/messages.ts';
export {
  clientResourcesSchema,
  MAX_REPORT_LINE_CHARS,
  MAX_REPORT_LINES,
  reportMessageSchema,
  type ClientResources,
  type ReportedLine,
  type ReportMessage,
} from './federation/client-report.ts';
export {
  secureFitSchema,
  secureKeysSchema,
  secureSharesSchema,
  secureSharesTaskSchema,
  secureUnmaskSchema,
  secureUnmaskTaskSchema,
  type SecureFit,
  type SecureKeys,
  type SecureShares,
  type SecureSharesTask,
  type SecureUnmask,
  type SecureUnmaskTask,
} from './federation/secure-messages.ts';
export { fingerprintOf, readPublicKey, type NodeSigner } from './federation/node-key.ts';
export { operatorChangeSchema, type OperatorChange } from './federation/operator-change.ts';
export type {
  ClientPrincipal,
  FederationService,
  OperatorPrincipal,
  Principal,
} from './contracts/federation-service.ts';
export type { OperatorPage, PageFile, PageMessage } from './contracts/operator-page.ts';
export { Heartbeat, type HeartbeatOptions } from './federation/heartbeat.ts';
