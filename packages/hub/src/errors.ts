import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/** What can go wrong between this machine and the hub. */
export type HubErrorCode =
  /** Not an address of the form `hf:owner/name[@revision]`. */
  | 'HUB_ADDRESS'
  /** `HF_ENDPOINT` or a token cannot be used. */
  | 'HUB_SETTINGS'
  /** The hub wants a token, or does not accept the one it was given. */
  | 'HUB_UNAUTHORIZED'
  /** The token's owner may not read the repository (it is gated or forbidden), or not write to it. */
  | 'HUB_FORBIDDEN'
  /** No such repository or revision. */
  | 'HUB_NOT_FOUND'
  /** The repository has no such file or folder. */
  | 'HUB_FILE_MISSING'
  /** The hub refuses the request for another reason. */
  | 'HUB_REFUSED'
  /** The cache lacks something, and the hub is not to be asked or cannot be. */
  | 'HUB_OFFLINE'
  /** No connection, or it breaks again and again. */
  | 'HUB_UNREACHABLE'
  /** Connected, but nothing moves. */
  | 'HUB_STALLED'
  /** The hub is overloaded or broken (429, 5xx). */
  | 'HUB_UNAVAILABLE'
  /** An answer that no hub gives: unsafe file names, endless redirects or lists, the wrong shape. */
  | 'HUB_PROTOCOL'
  /** A file's bytes have not the size or the hash that the repository lists. */
  | 'HUB_CONTENT';

/** Options of a {@link HubError}. */
export interface HubErrorOptions extends Zk0ErrorOptions {
  /** What the hub asked to wait before the next request, in ms. */
  readonly retryAfterMs?: number | undefined;
  /** Status of the hub's answer, where it was one. */
  readonly status?: number | undefined;
}

/** A failure of this package that a user can act on. Messages never hold a token or a signed address. */
export class HubError extends Zk0Error {
  declare readonly code: HubErrorCode;
  readonly retryAfterMs: number | undefined;
  readonly status: number | undefined;

  constructor(code: HubErrorCode, message: string, options: HubErrorOptions = {}) {
    super(code, message, options);
    this.retryAfterMs = options.retryAfterMs;
    this.status = options.status;
  }
}

/** Whether an error may pass by itself. */
export function isPassing(thrown: unknown): thrown is HubError {
  return thrown instanceof HubError && PASSING.has(thrown.code);
}

const PASSING: ReadonlySet<string> = new Set(['HUB_UNREACHABLE', 'HUB_STALLED', 'HUB_UNAVAILABLE']);
