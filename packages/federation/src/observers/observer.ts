import type { LedgerEntry, LedgerRun } from '../ledger/ledger.ts';

/**
 * Makes something of what happened to a run that nobody needs for the run itself: charts, metrics files, cards, event files, the removal of
 * blobs that nothing needs any more. An observer can never fail a run or end the process.
 *
 * It gets every entry of the run that is being driven, in order, each after the one before it was handled. After a restart it gets the
 * run's newest state first ({@link resume}) and brings its files up to that, so handling something twice changes nothing.
 */
export interface Observer {
  /** For the log. */
  readonly name: string;
  /** Brings what it makes up to the run as it stands: after a start of the server, and after a failure. */
  resume?(run: LedgerRun): Promise<void>;
  handle(entry: LedgerEntry, run: LedgerRun): Promise<void>;
  close?(): Promise<void>;
}
