import { AggregationError, PrivacyBudgetError, StrategyConfigError, TooFewClientsError, type AggregationErrorCode } from './errors.ts';

/** What a failed step of a strategy means for the run. */
export type RoundOutcome =
  /** The round does not count; the parameters stay as they were, and the next round may go well. */
  | 'skip'
  /** The run is complete: it has done all that it may. Its results stand. */
  | 'finish'
  /** Fewer clients are there than a round takes: ask again when more have come. Nothing has failed. */
  | 'wait'
  /** No round of this run can go well with this configuration and state. */
  | 'fail';

const AGGREGATION: Readonly<Record<AggregationErrorCode, RoundOutcome>> = {
  TOO_FEW_UPDATES: 'skip',
  TOO_MANY_FAILURES: 'skip',
  // One client's finite but absurd values suffice for that; nothing of it is kept.
  NON_FINITE_RESULT: 'skip',
  TOO_MANY_UPDATES: 'fail',
  NON_FINITE_GLOBAL: 'fail',
  STATE_MISMATCH: 'fail',
  UNSUPPORTED_TENSOR: 'fail',
  NOISE_SECRET_MISSING: 'fail',
};

/**
 * What an error of {@link Strategy.configureFit}, {@link Strategy.aggregate} or `selectClients` means for the run. An
 * `UpdateRejectedError` of `checkUpdate` is about one client's update and is no error of the round: it means that this update does not
 * count, and nothing else does.
 *
 * @returns `null` for every other error. It is not the strategy's: a disk, a file, a thread, a cancelled call or a defect. It says nothing
 *   about the round or anybody's update; the same step may be tried again.
 */
export function roundOutcome(error: unknown): RoundOutcome | null {
  if (error instanceof AggregationError) return AGGREGATION[error.code];
  if (error instanceof PrivacyBudgetError) return 'finish';
  if (error instanceof TooFewClientsError) return 'wait';
  if (error instanceof StrategyConfigError) return 'fail';
  return null;
}
