import { CancelledError, errorMessage, Zk0Error } from '@zk0/core';
import { StorageError } from '@zk0/storage';
import { AggregationError, PrivacyBudgetError, TooFewClientsError } from '@zk0/strategy';

/** How an effect of a run (configuring, aggregating, evaluating, saving) can end when it does not succeed. */
export type FailureOutcome =
  /** Somebody gave it up; nothing is wrong. */
  | { readonly kind: 'cancelled' }
  /** The server's own passing trouble (a full disk, too many open files): the same effect is tried again. */
  | { readonly kind: 'retry'; readonly error: Zk0Error }
  /** The strategy says that this round does not count: the parameters stay, and the next round follows. */
  | { readonly kind: 'skip'; readonly reason: string }
  /** The run is complete before its last round. */
  | { readonly kind: 'finish'; readonly reason: string }
  /** The run cannot go on. */
  | { readonly kind: 'fail'; readonly code: string; readonly message: string };

const PASSING: ReadonlySet<string> = new Set(['DISK_FULL', 'STORE_FULL', 'FILE_UNWRITABLE', 'FILE_UNREADABLE']);
const SKIPPED: ReadonlySet<string> = new Set(['TOO_FEW_UPDATES', 'TOO_MANY_FAILURES']);

/** What an error means for the run. */
export function outcomeOf(error: unknown): FailureOutcome {
  if (error instanceof CancelledError || (error instanceof Error && error.name === 'AbortError')) return { kind: 'cancelled' };
  if (isPassing(error)) return { kind: 'retry', error };
  if (error instanceof AggregationError && SKIPPED.has(error.code)) return { kind: 'skip', reason: error.message };
  if (error instanceof TooFewClientsError) return { kind: 'skip', reason: error.message };
  if (error instanceof PrivacyBudgetError) return { kind: 'finish', reason: error.message };
  return { kind: 'fail', code: error instanceof Zk0Error ? error.code : 'INTERNAL', message: errorMessage(error) };
}

/** Whether trouble with this machine's files passes by itself, or once somebody frees space. */
export function isPassing(error: unknown): error is StorageError {
  return error instanceof StorageError && PASSING.has(error.code);
}
