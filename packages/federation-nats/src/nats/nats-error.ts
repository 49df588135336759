import { errorMessage, Zk0Error } from '@zk0/core';
import { FederationError } from '@zk0/federation';
import { StorageError } from '@zk0/storage';
import { JetStreamApiError } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';

/** JetStream's codes for an append that another writer was faster than. */
const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10_071, 10_164]);
/** JetStream's codes for storage that is used up: of the server, of the account, of the stream. */
const NO_ROOM: ReadonlySet<number> = new Set([10_002, 10_023, 10_028, 10_047, 10_077]);
const STREAM_NOT_FOUND = 10_059;
/** Causes of causes beyond this are not looked at. */
const MAX_CAUSES = 5;

/** Whether another writer was faster. */
export function isConflict(error: unknown): boolean {
  return error instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.has(error.code);
}

/** Whether the server refuses who asks, or what is asked for. */
export function isRefusal(error: unknown): boolean {
  return [...causes(error)].some(
    (one) => one instanceof errors.AuthorizationError || one instanceof errors.UserAuthenticationExpiredError || one instanceof errors.PermissionViolationError,
  );
}

/**
 * What an error of the NATS client means for the engine: StorageError `STORE_UNREACHABLE` or `STORE_FULL`, which pass, and FederationError
 * `LEDGER_UNUSABLE`, which ends the server and leaves the runs as they are.
 *
 * @param what Names the federation's place in the message.
 */
export function natsError(what: string, error: unknown): Zk0Error {
  if (error instanceof Zk0Error) return error;
  const message = errorMessage(error);
  if (isRefusal(error)) {
    return new FederationError('LEDGER_UNUSABLE', `${what}: the NATS server refuses this server (${message})`, {
      cause: error,
      hint: 'Check the credentials and the permissions that they have.',
    });
  }
  if (error instanceof JetStreamApiError) {
    if (NO_ROOM.has(error.code)) {
      return new StorageError('STORE_FULL', `${what}: the NATS server has no room left (${message})`, { cause: error, hint: 'Raise the limits of JetStream or of the account, or add disk.' });
    }
    if (error.code === STREAM_NOT_FOUND) {
      return new FederationError('LEDGER_UNUSABLE', `${what}: a stream of the federation is gone`, { cause: error, hint: 'Restore the streams from a backup, and start the server again.' });
    }
    // 5xx: a leader is being elected, a replica lags, the server is about to stop.
    if (error.status < 500) {
      return new FederationError('LEDGER_UNUSABLE', `${what}: the NATS server refuses a request (${message})`, { cause: error, hint: 'Check that servers of one release use the federation, and what NATS logs.' });
    }
  }
  return new StorageError('STORE_UNREACHABLE', `${what}: no answer (${message})`, { cause: error, hint: 'Check that the NATS server runs, and the network.' });
}

function* causes(error: unknown): Generator {
  let current = error;
  for (let depth = 0; depth < MAX_CAUSES && current instanceof Error; depth++) {
    yield current;
    current = current.cause;
  }
}
