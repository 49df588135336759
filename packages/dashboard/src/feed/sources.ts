import type { LogLevel, SuccessView } from '../model/view.ts';
import type { Coordinator, Ledger } from '@zk0/federation';

/** Nodes that have enrolled, and what an operator may do with them; the node registry of `@zk0/transport` is one. */
export interface NodeDirectory {
  listNodes(): Promise<readonly EnrolledNode[]>;
  approveNode(name: string): Promise<unknown>;
  revokeNode(name: string): Promise<unknown>;
}

/** A node that has enrolled. */
export interface EnrolledNode {
  readonly clientId: string;
  readonly state: 'pending' | 'approved' | 'revoked';
  readonly fingerprint: string;
  readonly dataset: string;
  readonly enrolledAt: Date;
  readonly lastSeenAt: Date | null;
}

/** A line of a log; records of `@zk0/logger` fit. */
export interface DashboardLogRecord {
  readonly time: Date;
  readonly level: LogLevel;
  /** Which process wrote it. */
  readonly process: string;
  readonly message: string;
}

/** Where the page's data comes from. */
export interface DashboardSources {
  readonly ledger: Pick<Ledger, 'history' | 'subscribe'>;
  readonly coordinator: Pick<Coordinator, 'changeRun' | 'follow' | 'onClientsChanged' | 'overview' | 'stop' | 'submitRun'>;
  /** Absent where nodes need not enrol. */
  readonly nodes?: NodeDirectory;
  /** How often checkpoints of a run did their tasks; absent where nobody tries them. */
  readonly successes?: (runId: string) => Promise<readonly SuccessView[]>;
  /** Where a clip that {@link SuccessView} names lies; `null` where there is none. The names are a browser's: nothing is known of them. */
  readonly clip?: (runId: string, checkpoint: string, file: string) => Promise<string | null>;
}
