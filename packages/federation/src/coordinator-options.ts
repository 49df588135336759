import type { EngineBlobs } from './blobs/engine-blobs.ts';
import type { ClientLine } from './clients/client-lines.ts';
import type { ClientStore } from './clients/client-store.ts';
import type { Clock } from './clock.ts';
import type { Ledger, LedgerRun } from './ledger/ledger.ts';
import type { LedgerStore } from './ledger/ledger-store.ts';
import type { LeaseStore } from './leases/lease-store.ts';
import type { FederationLog } from './log.ts';
import type { FederatedModel } from './model.ts';
import type { SharedParts } from './run/round-aggregator.ts';
import type { OpenedRun } from './run/run-session.ts';
import type { TaskQueue } from './tasks/task-queue.ts';

/** What a coordinator is made of. */
export interface CoordinatorOptions {
  readonly ledger: Ledger;
  readonly leases: LeaseStore;
  readonly blobs: EngineBlobs;
  readonly model: FederatedModel;
  /** Room for files in the making, on the blobs' file system where there is one. */
  readonly scratchDirectory: string;
  readonly queue?: TaskQueue;
  /** Where clients that have joined are kept for the server after this one; in memory alone when absent. */
  readonly clients?: ClientStore;
  readonly clock?: Clock;
  /**
   * Other servers work with the same ledger, queue and clients: then this one follows what they write, and hands out tasks and takes in
   * results also of runs that it does not drive. It is the only one when absent.
   */
  readonly shared?: {
    /** The ledger's store, which is followed. */
    readonly store: LedgerStore;
    /** Whether this server drives runs when its turn comes; one that does not only answers clients and operators. */
    readonly drives: boolean;
  };
  /** With whom parts of aggregations are shared; they are all computed by whoever drives the run when absent. */
  readonly parts?: SharedParts;
  /** A client that has not been heard for so long is offline, in ms (60 000). */
  readonly clientSilenceMs?: number;
  readonly log?: FederationLog;
  /** Opens what goes with a run: its log, and the observers that make something of it. */
  readonly openRun?: (run: LedgerRun) => OpenedRun | Promise<OpenedRun>;
  /** Gets the lines that clients send of their logs, and the run that is being driven; nobody wants them when absent. */
  readonly onClientLine?: (line: ClientLine, runId: string | null) => void;
  /**
   * Names this process in leases. Where something else keeps a second process away (an exclusive ledger file), a constant: a restarted
   * server then need not wait for the lease of the one that died.
   */
  readonly holder?: string;
}
