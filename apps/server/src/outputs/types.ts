import type { Metrics } from '@zk0/core';
import type { RolloutReport } from '@zk0/rollout';
import type { RoundTime } from './round-times.ts';

/** A dataset that had a part in a run. */
export interface RunDataset {
  readonly role: 'train' | 'held-out';
  /** Who trains on it; absent for held-out ones. */
  readonly clientId?: string;
  readonly name: string;
  /** Commit of the hub repository; absent for recordings from elsewhere. */
  readonly commit?: string;
  /** Where it can be had again, where that is known. */
  readonly uri?: string;
  readonly contentHash: string;
  readonly episodes: number;
  readonly frames: number;
}

/** What identifies a run: goes into `config.json`, and is enough to repeat it. */
export interface RunInfo {
  readonly runId: string;
  readonly startedAt: Date;
  /** The configuration as it was submitted; seeds are part of it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Versions of what computed: `zk0`, `node`, `onnxruntime`, … */
  readonly versions: Readonly<Record<string, string>>;
  readonly datasets: readonly RunDataset[];
  /** What the configuration leaves to policy and strategy: local steps, batch size, learning rate, μ, every option of the strategy. */
  readonly resolved?: Readonly<Record<string, unknown>>;
  /** Devices, threads and processors of server and clients. */
  readonly compute?: Readonly<Record<string, unknown>>;
  /** How a simulation was started. */
  readonly simulation?: Readonly<Record<string, unknown>>;
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
  /** Of `policyLoss`, from the spread between batches. */
  readonly standardError?: number;
  readonly totalSamples: number;
  readonly datasets: readonly {
    readonly name: string;
    readonly policyLoss: number;
    readonly samples: number;
    readonly actionDim: number;
    readonly standardError?: number;
    readonly successfulBatches?: number;
    readonly totalBatches?: number;
  }[];
}

/** How often a round's policy did its tasks, tried in simulated worlds. */
export interface SuccessRecord
  extends Pick<RolloutReport, 'successes' | 'trials' | 'rate' | 'low' | 'high' | 'secondsToSuccess' | 'failures' | 'places' | 'seed'> {
  readonly round: number;
  /** Addresses of the tasks. */
  readonly tasks: readonly string[];
  /** What the worlds say of how far their numbers can be compared. */
  readonly notes?: readonly string[];
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
  /** When it happened; absent where that is not known. */
  readonly time?: RoundTime;
  /** Why the global parameters did not change, for a skipped round. */
  readonly skipped?: string;
}
