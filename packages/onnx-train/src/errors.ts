import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core/errors';

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
 * `OUT_OF_MEMORY` the device's memory does not suffice for the model or the run;
 * `SESSION_CLOSED` the session was closed before or during the call;
 * `WORKER_CRASHED` the thread that runs the session died.
 */
export type SessionErrorCode =
  | 'DEVICE_UNAVAILABLE'
  | 'PRECISION_UNAVAILABLE'
  | 'MODEL_REJECTED'
  | 'RUN_FAILED'
  | 'OUT_OF_MEMORY'
  | 'SESSION_CLOSED'
  | 'WORKER_CRASHED';

/** A session that could not be made or a run that failed. */
export class SessionError extends Zk0Error {
  declare readonly code: SessionErrorCode;

  constructor(code: SessionErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}

/**
 * What stands between this machine and CUDA:
 * `CUDA_UNSUPPORTED` onnxruntime has no CUDA provider for this platform;
 * `CUDA_PROVIDER_NOT_FOUND` onnxruntime's CUDA library is in none of the folders looked into;
 * `CUDA_PROVIDER_MISMATCH` it is of another version or commit than the onnxruntime that is installed;
 * `CUDA_LIBRARY_NOT_FOUND` a library that it needs is in none of them;
 * `CUDA_LIBRARY_INVALID` a file is cut off, damaged, or for another processor;
 * `CUDA_LINK_INVALID` what `cuda use` recorded cannot be written or read, or a file that it names has gone or changed.
 */
export type CudaErrorCode =
  | 'CUDA_UNSUPPORTED'
  | 'CUDA_PROVIDER_NOT_FOUND'
  | 'CUDA_PROVIDER_MISMATCH'
  | 'CUDA_LIBRARY_NOT_FOUND'
  | 'CUDA_LIBRARY_INVALID'
  | 'CUDA_LINK_INVALID';

/** CUDA cannot be linked, or what was linked cannot be used. */
export class CudaError extends Zk0Error {
  declare readonly code: CudaErrorCode;

  constructor(code: CudaErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}
