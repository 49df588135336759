import type { Metrics, TensorSink, TensorSource, TensorSpec } from '@zk0/core';
import type { UpdateGuards, UpdateInspection } from './check-update.ts';
import type { PassSharing } from './engine/pass-sharing.ts';
import type { WorkerPool } from './engine/pool.ts';

/** A value that survives JSON. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** A strategy's small state (counters, clipping norm, privacy ledger): journaled by the server with each round. */
export type Scalars = Readonly<Record<string, Json>>;

/** What one client sends back. */
export interface ClientUpdate {
  readonly clientId: string;
  /** How many samples it trained on: its weight in a weighted mean. */
  readonly numExamples: number;
  /** The most that it can have, as it declared when it joined: an update that claims more is refused. */
  readonly maxExamples?: number;
  /** `loss` is used by QFedAvg; all of them are averaged into the round's metrics. */
  readonly metrics: Metrics;
  readonly tensors: TensorSource;
  /** What `tensors` holds: the trained weights (default) or their difference from `base`. */
  readonly kind?: 'weights' | 'delta';
  /** Global parameters it started from when they were not this round's (FedBuff). */
  readonly base?: TensorSource;
  /** Global versions that passed between its start and now (FedBuff); 0 by default. */
  readonly staleness?: number;
  /**
   * Optimiser steps that it made, where the clients of a run make different numbers of them: means then count each update per step, so that
   * no client weighs more for being faster (FedNova).
   */
  readonly localSteps?: number;
  /** SCAFFOLD: the change of the client's control variate, tensors named as the parameters. */
  readonly control?: TensorSource;
  /** Clients whose weighted mean it is, where their updates were added before they came here (secure aggregation); 1 by default. */
  readonly clients?: number;
  /** What `checkUpdate` returned for this update; without it the update is checked (read once more) first. */
  readonly inspection?: UpdateInspection;
}

/** What a strategy aggregates. Everything is read piece by piece. */
export interface AggregationInput {
  /** From 1. */
  readonly round: number;
  /** The parameters that the round began with. */
  readonly global: TensorSource;
  /** In any order: results depend on the set alone. */
  readonly updates: readonly ClientUpdate[];
  /** The tensors that the last aggregation wrote to `output.state`; `null` before the first. */
  readonly state: TensorSource | null;
  /** The scalars that the last aggregation returned; `{}` before the first. */
  readonly scalars: Scalars;
  /** The run's seed, for rules that choose at random. It is public: privacy's noise never comes from it. */
  readonly seed: string | number;
  /**
   * What privacy's noise comes from: bytes of the system's generator (`createNoiseSecret`), drawn once for the run and kept by the server
   * with its state, so that a round that is aggregated again after a crash gets the same noise. Needed where
   * {@link Strategy.needsNoiseSecret} says so. It must never be published, logged or sent.
   */
  readonly noiseSecret?: Uint8Array;
  /** Clients that were asked but gave nothing usable (timeouts, errors, refused updates). */
  readonly failures?: number;
  /** Clients that have had a part in the federation, chosen or not (SCAFFOLD's N); the number of updates by default. */
  readonly population?: number;
}

/** Where the results go. The specs are those of the global parameters and of {@link Strategy.stateSpecs}. */
export interface AggregationOutput {
  readonly parameters: TensorSink;
  /** `null` exactly when the strategy has no state tensors. */
  readonly state: TensorSink | null;
}

/** How an aggregation runs; nothing here changes a bit of the result. */
export interface AggregationOptions {
  readonly signal?: AbortSignal;
  /**
   * Where kernels run: on the calling thread (0, the default), on that many threads started for this aggregation, or on a pool that
   * is kept from round to round, which saves starting them.
   */
  readonly workers?: number | WorkerPool;
  /** Has passes computed in parts elsewhere; here and whole when absent. */
  readonly sharing?: PassSharing;
}

/** An update that was left out. */
export interface ExcludedUpdate {
  readonly clientId: string;
  readonly code: string;
  readonly reason: string;
}

export interface AggregationResult {
  /**
   * `num_clients`, `param_update_norm`, example-weighted means of the metrics that every client reported (sums of counts: `num_…`, `bytes_…`),
   * the strategy's own figures.
   * Every one is finite. Under privacy, of the clients' metrics only those of `PUBLIC_METRICS`.
   */
  readonly metrics: Metrics;
  /** Hand these to the next aggregation. */
  readonly scalars: Scalars;
  /** Updates that failed a check, or that the rule did not choose, by client id. */
  readonly excluded: readonly ExcludedUpdate[];
}

/** One finished round, as schedules and selection need it. */
export interface RoundRecord {
  readonly round: number;
  /** Policy loss on the held-out datasets; `null` when the round was not evaluated. */
  readonly serverLoss: number | null;
  /** The clients that took part, with their training loss (`null`: asked, but no usable result). */
  readonly clients: Readonly<Record<string, { readonly loss: number | null }>>;
}

/** What a strategy may use to instruct clients. */
export interface FitContext {
  /** The round to come, from 1. */
  readonly round: number;
  readonly totalRounds: number;
  /** The clients chosen for it. */
  readonly clientIds: readonly string[];
  /** All clients that could have been chosen. */
  readonly population?: number;
  /** The configured learning rate, before any schedule. */
  readonly learningRate: number;
  /** Every finished round, oldest first. Schedules are pure functions of it: nothing else needs saving. */
  readonly history: readonly RoundRecord[];
  readonly scalars: Scalars;
}

/** What one client is told for one round. */
export interface ClientInstructions {
  readonly learningRate: number;
  readonly proximalMu: number;
}

/** The instructions of a round. */
export interface FitPlan {
  /** One entry for each of `clientIds`. */
  readonly clients: ReadonlyMap<string, ClientInstructions>;
  /** The round's values before per-client adaptation. */
  readonly learningRate: number;
  readonly proximalMu: number;
  /** Why they differ from the configured ones, for logs and the dashboard. */
  readonly reasons: readonly string[];
}

/** When updates are combined that come in one after the other. */
export interface UpdateBuffer {
  /** Updates that make new parameters. */
  readonly size: number;
  /** The most versions that may have come since an update's start. */
  readonly maxStaleness: number;
}

/**
 * A federated strategy: a pure function of its configuration and its inputs. All state goes through
 * {@link AggregationInput} and {@link AggregationResult}, so a server saves it with the round and restores it to the bit.
 */
export interface Strategy {
  readonly name: string;
  /** Fewest accepted updates that can be aggregated. */
  readonly minUpdates: number;
  /** FedBuff: new parameters come with every `size` updates, from whichever clients, and nobody is waited for; `null`: rounds. */
  readonly buffer: UpdateBuffer | null;
  /** Whether updates of different numbers of steps can be combined ({@link ClientUpdate.localSteps}). */
  readonly takesUnequalSteps: boolean;
  /** Whether the example-weighted sum of the updates is all that the strategy needs of them, so that nobody need see a single one. */
  readonly needsSumOnly: boolean;
  /** What every update is checked against, here and by `checkUpdate` on arrival. */
  readonly guards: UpdateGuards;
  /** State tensors for a model, e.g. `momentum/<tensor>`; empty when the strategy keeps none. */
  stateSpecs(parameters: readonly TensorSpec[]): readonly TensorSpec[];
  /** Whether {@link AggregationInput.noiseSecret} must be there: differential privacy with noise. */
  readonly needsNoiseSecret: boolean;
  /**
   * Whether the strategy promises differential privacy: then clients report no more than `privateReport` lets through, and what else they
   * report is not aggregated.
   */
  readonly isPrivate: boolean;
  /** State tensors that clients must receive with the parameters (SCAFFOLD's control variate), by prefix. */
  readonly broadcastState: readonly string[];
  /**
   * Instructions for a round about to start.
   *
   * @throws PrivacyBudgetError when the round would exceed the privacy budget.
   * @throws TooFewClientsError when privacy needs more clients in a round.
   */
  configureFit(context: FitContext): FitPlan;
  /**
   * Writes the next global parameters (and state) from the round's updates.
   *
   * @throws AggregationError when the round cannot count; nothing has been written then, except for
   *   `NON_FINITE_RESULT`, after which the sinks must be discarded.
   */
  aggregate(input: AggregationInput, output: AggregationOutput, options?: AggregationOptions): Promise<AggregationResult>;
}
