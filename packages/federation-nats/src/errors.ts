import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** What can go wrong with the servers that a federation's state is on, beside what passes (StorageError `STORE_UNREACHABLE`). */
export type BackendErrorCode =
  /** The address of a NATS server or of a bucket cannot be read. */
  | 'BACKEND_ADDRESS'
  /** The NATS or S3 server refuses the credentials, or what they ask for. */
  | 'BACKEND_REFUSED'
  /** The server is too old, lacks JetStream, or has a stream or bucket of that name that is made for something else. */
  | 'BACKEND_UNSUITABLE';

/** A backend that a server cannot be started with. */
export class BackendError extends Zk0Error {
  declare readonly code: BackendErrorCode;

  constructor(code: BackendErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}
