import type { Metrics } from '@zk0/core';

/** A dataset that had a part in a run. */
export interface RunDataset {
  readonly role: 'train' | 'held-out';
  /** Who trains on it; absent for held-out ones. */
  readonly clientId?: string;
  readonly name: string;
  /** Commit of the hub repository; absent for recordings from elsewhere. */
  readonly commit?: string;
  readonly contentHash: string;
  readonly episodes: number;
  readonly frames: number;
}

/** What identifies a run: goes into `config.json`, and is enough to repeat it. */
export interface RunInfo {
  readonly runId: string;
  readonly startedAt: Date;
  /** The resolved configuration; seeds are part of it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Versions of what computed: `zk0`, `node`, `onnxruntime`, … */
  readonly versions: Readonly<Record<string, string>>;
  readonly datasets: readonly RunDataset[];
  /** Anything else worth keeping: policy, features, normaliser. Plain JSON. */
  readonly context?: Readonly<Record<string, unknown>>;
}

/** One client whose update counted in a round. */
export interface ClientRound {
  readonly clientId: string;
  readonly datasetName: string;
  readonly numExamples: number;
  /** Snake-case, finite: `loss`, `policy_loss`, `fedprox_loss`, `grad_norm`, `num_steps`, `lr`, `mu`, `duration_s`, … */
  readonly metrics: Metrics;
  /** Hex SHA-256 of the update, where known. */
  readonly paramHash?: string;
}

/** One client that was asked to train in a round and whose update did not count. */
export interface MissingClient {
  readonly clientId: string;
  readonly reason: string;
}

/** Held-out evaluation of one set of global parameters; `Evaluation` of `@zk0/core` is one. */
export interface ServerEvaluation {
  readonly policyLoss: number;
  readonly totalSamples: number;
  readonly datasets: readonly {
    readonly name: string;
    readonly policyLoss: number;
    readonly samples: number;
    readonly actionDim: number;
    readonly successfulBatches?: number;
    readonly totalBatches?: number;
  }[];
}

/** Everything that is written about one round. Round 0 is the evaluation of the initial parameters. */
export interface RoundRecord {
  readonly round: number;
  readonly clients: readonly ClientRound[];
  readonly missing?: readonly MissingClient[];
  /** `null`: not evaluated in this round. */
  readonly server: ServerEvaluation | null;
  /**
   * What the strategy says of its aggregation: `param_update_norm`, `lr`, `mu`, … Means and deviations over clients are
   * computed here and need not be passed.
   */
  readonly aggregated: Metrics;
  /** Hex SHA-256 of the global parameters after the round. */
  readonly paramHash?: string;
  /** Why the global parameters did not change, for a skipped round. */
  readonly skipped?: string;
}
