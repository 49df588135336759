import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** What can go wrong when vectors are summed under masks. */
export type SecureAggregationErrorCode =
  /** A key is not one of X25519, or agrees on nothing with another. */
  | 'SECURE_KEY_INVALID'
  /** Keys are not signed by the member that they are said to be of. */
  | 'SECURE_KEY_UNTRUSTED'
  /** A share cannot be opened, or shares do not give the secret that was promised. */
  | 'SECURE_SHARE_INVALID'
  /** Fewer members are there, or fewer shares, than the threshold asks for. */
  | 'SECURE_TOO_FEW'
  /** What is asked for would open a single vector: a client never gives it. */
  | 'SECURE_REQUEST_REFUSED'
  /** A value to be masked is not finite. */
  | 'SECURE_NON_FINITE'
  /** The sum is not one that clients of the agreed range can have made. */
  | 'SECURE_OUT_OF_RANGE';

/** A sum under masks that cannot be made. */
export class SecureAggregationError extends Zk0Error {
  declare readonly code: SecureAggregationErrorCode;

  constructor(code: SecureAggregationErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}
