import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** What can go wrong in a federation, beside what models, strategies and storage report themselves. */
export type FederationErrorCode =
  /** The ledger cannot be opened, read or written. */
  | 'LEDGER_UNUSABLE'
  /** Another process works with this ledger. */
  | 'LEDGER_IN_USE'
  /** The ledger was written by a release with another format. */
  | 'LEDGER_VERSION'
  /** An event does not survive being written and read back: its values are outside what the ledger holds. */
  | 'EVENT_INVALID'
  /** There is no run of this name, or none is running. */
  | 'RUN_UNKNOWN'
  /** The run has ended: nothing can be changed about it. */
  | 'RUN_ENDED'
  /** No client of this name has joined this server, or has had a part in the run. */
  | 'CLIENT_UNKNOWN'
  /** The run's entries in the ledger cannot be replayed; it is set aside. */
  | 'RUN_UNREADABLE'
  /** A run configuration that this server does not take. */
  | 'RUN_CONFIG_INVALID'
  /** Several rounds in a row got too few updates. */
  | 'RUN_NO_PROGRESS'
  /** A client that the server does not know: it has to join (again). */
  | 'NOT_JOINED'
  /** Another installation is at work under this client id. */
  | 'CLIENT_ID_IN_USE'
  /** The client's task does not allow this. */
  | 'FORBIDDEN'
  /** Too many clients have joined. */
  | 'TOO_MANY_CLIENTS'
  /** A client got a task that it cannot read. */
  | 'TASK_UNKNOWN'
  /** A task asks for more than this client's limits allow. */
  | 'TASK_REFUSED'
  /** What a task or its answer names is not finite or not of the declared shape. */
  | 'EVALUATION_INVALID'
  /** What says which part of an aggregation is to be computed, or a part, is of another release or damaged. */
  | 'PART_UNREADABLE'
  /** The server is not ready for this yet; the client tries again. */
  | 'BUSY';

/** A failure of the federation itself. */
export class FederationError extends Zk0Error {
  declare readonly code: FederationErrorCode;

  constructor(code: FederationErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}
