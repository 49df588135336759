import { errorMessage, Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** Why an update was refused. Stable: servers pass it on to the client. */
export type UpdateRejectionCode =
  /** It did not arrive, or is no safetensors file. */
  | 'UPDATE_UNREADABLE'
  /** A NaN or an infinity in a tensor. */
  | 'UPDATE_NON_FINITE'
  /** A tensor that the global parameters do not have. */
  | 'UPDATE_UNKNOWN_TENSOR'
  /** A tensor of the global parameters is not there. */
  | 'UPDATE_MISSING_TENSOR'
  | 'UPDATE_WRONG_SHAPE'
  | 'UPDATE_WRONG_DTYPE'
  /** It is in another encoding than the run's, or is a difference to other parameters than the round's. */
  | 'UPDATE_WRONG_ENCODING'
  /** Zero, negative, fractional or absurdly many examples. */
  | 'UPDATE_BAD_EXAMPLE_COUNT'
  /** A metric that is not a finite number, or one that the strategy needs and that is not there. */
  | 'UPDATE_BAD_METRIC'
  /** ‖update − global‖ is above the configured guard. */
  | 'UPDATE_NORM_TOO_LARGE'
  /** The same client is already among the round's updates. */
  | 'UPDATE_DUPLICATE_CLIENT'
  /** The strategy needs something beside the weights (control variate, base parameters) that did not come. */
  | 'UPDATE_INCOMPLETE'
  /** It started from older global parameters, and the rule does not take such. */
  | 'UPDATE_STALE';

/** One client's update does not count; the round may go on without it. */
export class UpdateRejectedError extends Zk0Error {
  declare readonly code: UpdateRejectionCode;
  readonly clientId: string;
  /** The tensor at fault, where one is. */
  readonly tensor: string | undefined;

  constructor(
    code: UpdateRejectionCode,
    clientId: string,
    what: string,
    options: Zk0ErrorOptions & { readonly tensor?: string } = {},
  ) {
    const where = options.tensor === undefined ? `client ${clientId}` : `client ${clientId}, tensor ${options.tensor}`;
    super(code, `${where}: ${what}`, options);
    this.clientId = clientId;
    this.tensor = options.tensor;
  }
}

/** A strategy configuration that cannot be meant: unknown keys, values out of range, parts that do not go together. */
export class StrategyConfigError extends Zk0Error {
  declare readonly code: 'STRATEGY_CONFIG_INVALID';

  constructor(message: string, options: Zk0ErrorOptions = {}) {
    super('STRATEGY_CONFIG_INVALID', message, options);
  }
}

/** Why a whole round could not be aggregated. The global parameters stay as they were. */
export type AggregationErrorCode =
  /** Fewer accepted updates than the rule needs. */
  | 'TOO_FEW_UPDATES'
  /** More than a rule that sorts each coordinate is made for. */
  | 'TOO_MANY_UPDATES'
  /** Too many of the round's clients failed (the fault-tolerant threshold). */
  | 'TOO_MANY_FAILURES'
  /** The result holds NaN or infinities although no update does: the server optimiser diverged. */
  | 'NON_FINITE_RESULT'
  /** The parameters that the round began with hold NaN or infinities. */
  | 'NON_FINITE_GLOBAL'
  /** Privacy's noise has no secret to come from. */
  | 'NOISE_SECRET_MISSING'
  /** The strategy's own saved state does not fit the model. */
  | 'STATE_MISMATCH'
  /** The global parameters have a tensor that cannot be averaged. */
  | 'UNSUPPORTED_TENSOR';

/** A round could not be aggregated. */
export class AggregationError extends Zk0Error {
  declare readonly code: AggregationErrorCode;

  constructor(code: AggregationErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}

/** A computing thread died. Nothing is wrong with any update; another pool may do the same work. */
export class WorkerCrashedError extends Zk0Error {
  declare readonly code: 'WORKER_CRASHED';

  constructor(cause: unknown) {
    super('WORKER_CRASHED', `a thread that aggregates died (${errorMessage(cause)})`, {
      cause,
      hint: 'Check the memory of this machine; the round is aggregated again with new threads.',
    });
  }
}

/** Not enough clients are available for a round. */
export class TooFewClientsError extends Zk0Error {
  declare readonly code: 'TOO_FEW_CLIENTS';

  constructor(available: number, needed: number) {
    super('TOO_FEW_CLIENTS', `${available} clients are available, a round needs ${needed}`, {
      hint: 'Wait for more clients, or lower the minimum.',
    });
  }
}

/** The round about to start would exceed the privacy budget. It must not start. */
export class PrivacyBudgetError extends Zk0Error {
  declare readonly code: 'PRIVACY_BUDGET_EXHAUSTED';

  constructor(spent: number, next: number, epsilon: number, delta: number) {
    super(
      'PRIVACY_BUDGET_EXHAUSTED',
      `another round would spend ε = ${next.toPrecision(5)} of ${epsilon} (δ = ${delta}; ${spent.toPrecision(5)} are spent)`,
      { hint: 'End the run here: the model is as private as was promised. A larger budget is a new promise.' },
    );
  }
}
