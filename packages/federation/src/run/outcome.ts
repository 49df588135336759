import { CancelledError, errorMessage, Zk0Error } from '@zk0/core';
import { SecureAggregationError } from '@zk0/secure-aggregation';
import { isPassingStorageError } from '@zk0/storage';
import { roundOutcome } from '@zk0/strategy';

/** How an effect of a run (configuring, aggregating, evaluating, saving) can end when it does not succeed. */
export type FailureOutcome =
  /** Somebody gave it up; nothing is wrong. */
  | { readonly kind: 'cancelled' }
  /** This machine's passing trouble (a full disk, no file handle left): the same effect is tried again. */
  | { readonly kind: 'retry' }
  /** The strategy says that this round does not count: the parameters stay, and the next round follows. */
  | { readonly kind: 'skip'; readonly reason: string }
  /** Fewer clients are there than the strategy takes. */
  | { readonly kind: 'wait'; readonly reason: string }
  /** The run is complete before its last round. */
  | { readonly kind: 'finish'; readonly reason: string }
  /** The run cannot go on. */
  | { readonly kind: 'fail'; readonly code: string; readonly message: string };

/** What an error means for the run. */
export function outcomeOf(error: unknown): FailureOutcome {
  if (error instanceof CancelledError || (error instanceof Error && error.name === 'AbortError')) return { kind: 'cancelled' };
  if (isPassingStorageError(error)) return { kind: 'retry' };
  const reason = errorMessage(error);
  // Too many dropped out, or somebody sent what does not fit: nothing of this round is kept.
  if (error instanceof SecureAggregationError) return { kind: 'skip', reason };
  const kind = roundOutcome(error);
  if (kind === 'skip' || kind === 'wait' || kind === 'finish') return { kind, reason };
  return { kind: 'fail', code: error instanceof Zk0Error ? error.code : 'INTERNAL', message: reason };
}
