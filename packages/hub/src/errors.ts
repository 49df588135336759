import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** What can go wrong between this machine and the hub. */
export type HubErrorCode =
  /** Not an address of the form `hf:owner/name[@revision]`. */
  'HUB_ADDRESS';

/** A failure of this package that a user can act on. */
export class HubError extends Zk0Error {
  declare readonly code: HubErrorCode;

  constructor(code: HubErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}
