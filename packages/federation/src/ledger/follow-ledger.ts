import { errorMessage } from '@zk0/core';
import type { FederationLog } from '../log.ts';
import type { LedgerStore } from './ledger-store.ts';
import type { Ledger } from './ledger.ts';

/** How a ledger is followed. */
export interface FollowOptions {
  readonly ledger: Ledger;
  readonly store: LedgerStore;
  readonly log: FederationLog;
  /** Called when another process has begun a run, and when one may have been missed. */
  readonly onNew: () => void;
}

/**
 * Reads what other processes append as they append it, so that what this one has in memory is what happened: of a process that only answers
 * clients, and of one that waits for its turn to drive.
 *
 * @returns what ends it.
 */
export function followLedger({ ledger, store, log, onNew }: FollowOptions): () => Promise<void> {
  /** Runs that are to be read, and those that are being read. */
  const waiting = new Set<string>();
  let reading: Promise<void> | undefined;
  let isTroubled = false;
  const read = async (): Promise<void> => {
    for (const runId of waiting) {
      waiting.delete(runId);
      try {
        const isNew = !ledger.known().includes(runId);
        await ledger.refresh(runId);
        if (isNew) onNew();
        isTroubled = false;
      } catch (error) {
        // The next entry, or whoever needs the run, reads it.
        if (!isTroubled) log.warn(`run ${runId} cannot be followed at the moment: ${errorMessage(error)}`, { error });
        isTroubled = true;
      }
    }
    reading = undefined;
  };
  const stop = store.watch?.((runId, position) => {
    if (runId === null) for (const open of ledger.known()) waiting.add(open);
    else if (!ledger.hasRead(runId, position)) waiting.add(runId);
    if (runId === null) onNew();
    if (waiting.size > 0) reading ??= read();
  });
  return async () => {
    await stop?.();
    waiting.clear();
    await reading;
  };
}
