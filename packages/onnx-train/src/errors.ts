import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** A graph that cannot be: shapes or element types that do not fit, a value from another graph, a name used twice. */
export class GraphError extends Zk0Error {
  declare readonly code: 'GRAPH_INVALID';

  constructor(message: string, options: Zk0ErrorOptions = {}) {
    super('GRAPH_INVALID', message, options);
  }
}

/** A gradient was asked through an operator that has none (or no rule here). */
export class NotDifferentiableError extends Zk0Error {
  declare readonly code: 'NOT_DIFFERENTIABLE';

  constructor(message: string, options: Zk0ErrorOptions = {}) {
    super('NOT_DIFFERENTIABLE', message, options);
  }
}

/**
 * What went wrong with a session:
 * `DEVICE_UNAVAILABLE` the execution provider asked for is not there or cannot start;
 * `PRECISION_UNAVAILABLE` the device cannot compute in the element type asked for;
 * `MODEL_REJECTED` onnxruntime refused the model;
 * `RUN_FAILED` a run failed inside onnxruntime, or its feeds do not fit the model;
 * `SESSION_CLOSED` the session was closed before or during the call;
 * `WORKER_CRASHED` the thread that runs the session died.
 */
export type SessionErrorCode =
  | 'DEVICE_UNAVAILABLE'
  | 'PRECISION_UNAVAILABLE'
  | 'MODEL_REJECTED'
  | 'RUN_FAILED'
  | 'SESSION_CLOSED'
  | 'WORKER_CRASHED';

/** A session that could not be made or a run that failed. */
export class SessionError extends Zk0Error {
  declare readonly code: SessionErrorCode;

  constructor(code: SessionErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}
