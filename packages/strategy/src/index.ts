/**
 * @module
 * Federated aggregation: strategies, schedules, client selection. Pure: tensors come and go through core's
 * `TensorSource` and `TensorSink`, nothing here opens a file or a socket.
 */
export {
  AggregationError,
  StrategyConfigError,
  TooFewClientsError,
  UpdateRejectedError,
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
} from './contract.ts';
export { checkUpdate, MAX_EXAMPLES, type CheckContext, type UpdateGuards, type UpdateInspection } from './check-update.ts';
export { createStrategy } from './create-strategy.ts';
export { parseStrategyConfig, strategyConfigSchema, type StrategyConfig, type StrategyConfigInput } from './config.ts';
export {
  aggregateParameters,
  type ParametersInput,
  type ParametersResult,
  type ParametersUpdate,
} from './aggregate-parameters.ts';
export { sampleSize, selectClients, type Candidate, type SelectionOptions } from './selection/select-clients.ts';
