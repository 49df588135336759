/**
 * @module
 * Federated aggregation: strategies, schedules, client selection. Pure: tensors come and go through core's
 * `TensorSource` and `TensorSink`, nothing here opens a file or a socket.
 */
export {
  AggregationError,
  PrivacyBudgetError,
  StrategyConfigError,
  TooFewClientsError,
  UpdateRejectedError,
  WorkerCrashedError,
  type AggregationErrorCode,
  type UpdateRejectionCode,
} from './errors.ts';
export type {
  AggregationInput,
  AggregationOptions,
  AggregationOutput,
  AggregationResult,
  ClientInstructions,
  ClientUpdate,
  ExcludedUpdate,
  FitContext,
  FitPlan,
  Json,
  RoundRecord,
  Scalars,
  Strategy,
  UpdateBuffer,
} from './contract.ts';
export { checkUpdate, MAX_EXAMPLES, type CheckContext, type UpdateGuards, type UpdateInspection } from './check-update.ts';
export { FactoredUpdate, type Factoring } from './factored-update.ts';
export { roundMetrics } from './round-metrics.ts';
export { MAX_WORKERS, WorkerPool } from './engine/pool.ts';
export type { PassPart, PassSharing, PassSums, SharedPass } from './engine/pass-sharing.ts';
export { computePart, PART_VERSION, type PartOptions } from './compute-part.ts';
export { roundOutcome, type RoundOutcome } from './round-outcome.ts';
export { createStrategy } from './create-strategy.ts';
export {
  parseStrategyConfig,
  strategyConfigSchema,
  type OptimizerConfig,
  type PrivacyConfig,
  type RuleConfig,
  type StrategyConfig,
  type StrategyConfigInput,
} from './config.ts';
export { commonStrategyOptions, describeStrategies, type StrategyDescription, type StrategyOption } from './describe-options.ts';
export {
  aggregateParameters,
  type ParametersInput,
  type ParametersOptions,
  type ParametersResult,
  type ParametersUpdate,
} from './aggregate-parameters.ts';
export { sampleSize, selectClients, type Candidate, type SelectionOptions } from './selection/select-clients.ts';
export { scheduled, type ScheduleOptions } from './schedule/schedule.ts';
export { decayed, type Decay } from './schedule/decay.ts';

// Parts for one's own strategies.
export { composeStrategy, type StrategyParts } from './compose-strategy.ts';
export type { CheckedUpdate, Combination, Rule, RuleContext } from './rules/rule.ts';
export type { ColumnRule } from './kernels/columns.ts';
export type { CustomCombine } from './kernels/combine.ts';
export { bufferedMean, examplesMean, fairMean } from './rules/mean.ts';
export { bulyan, krum, meanAroundMedian, median, trimmedMean } from './rules/robust.ts';
export { adagrad, adam, heavyBall, nesterov, yogi, type ServerOptimizer } from './optimizers.ts';

// Differential privacy.
export { DEFAULT_ORDERS, privacySpent, renyiDivergence, type PrivacyEvent } from './privacy/accountant.ts';
export {
  clipScale,
  effectiveNoiseMultiplier,
  PrivacyMechanism,
  readLedger,
  type Clipping,
  type PrivacyOptions,
} from './privacy/mechanism.ts';

export { addGaussian, createNoiseSecret, deriveNoiseKey, NOISE_SECRET_BYTES } from './privacy/noise.ts';
export { PUBLIC_METRICS, privateMetrics, privateReport, publicMoments } from './privacy/private-report.ts';
export { clipAndNoise, localPrivacySpent, type LocalPrivacyOptions, type LocalRounds } from './privacy/local-privacy.ts';

// What clients compute.
export {
  scaffoldChange,
  scaffoldControl,
  scaffoldCorrection,
  serverControl,
  type ControlVariates,
  type ScaffoldTraining,
} from './client/scaffold.ts';
export { INT8_BLOCK, scaleName } from './engine/operands.ts';
