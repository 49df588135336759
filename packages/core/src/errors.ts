/** Where an error happened and what to do about it, next to the message that says what. */
export interface Zk0ErrorOptions extends ErrorOptions {
  /** One imperative sentence: what the reader should do next. */
  readonly hint?: string;
}

/**
 * Base of every error that a user can act on.
 *
 * `message` says what went wrong and where (file, row, tensor, flag); `hint` says what to do; `code` is stable across
 * releases, so that scripts and other processes can match on it. Each package derives one class per failure family and
 * narrows `code` to a union of its own codes.
 */
export class Zk0Error extends Error {
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: Zk0ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
  }
}

/** The operation was cancelled by its caller (Ctrl-C, a stopped run, a closed connection); nothing is wrong. */
export class CancelledError extends Zk0Error {
  declare readonly code: 'CANCELLED';

  constructor(what: string, options: Zk0ErrorOptions = {}) {
    super('CANCELLED', `${what} was cancelled`, options);
  }
}

/** An argument or a configuration value is outside what the function accepts. */
export class InvalidArgumentError extends Zk0Error {
  declare readonly code: 'INVALID_ARGUMENT';

  constructor(message: string, options: Zk0ErrorOptions = {}) {
    super('INVALID_ARGUMENT', message, options);
  }
}

/** The message of anything that was thrown, for text that people read. */
export function errorMessage(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The code with which a client's update does not count where it was not there in time for a step of secure aggregation. */
export const SECURE_DROPPED_OUT = 'SECURE_DROPPED_OUT';

/** The code with which a client's update does not count, once an operator has excluded the client from the run. */
export const CLIENT_EXCLUDED = 'CLIENT_EXCLUDED';
