import type { TensorSource } from './tensor-io.ts';
import type { Parameters } from '../tensors/parameters.ts';

/** A metric's value; never NaN or infinite on the wire. */
export type Metrics = Readonly<Record<string, number>>;

/** Per-feature affine normaliser, common to every participant of a run. `std` is never 0. */
export interface Normalizer {
  readonly state: { readonly mean: readonly number[]; readonly std: readonly number[] };
  readonly action: { readonly mean: readonly number[]; readonly std: readonly number[] };
}

/** What the server asks of one client in one round. */
export interface FitInstructions {
  readonly round: number;
  /** Fixes shuffles, noise and times of this client in this round. */
  readonly seed: string;
  /** Optimiser steps. */
  readonly localSteps: number;
  /** Samples per step. */
  readonly batchSize: number;
  /** Peak learning rate of the round's cosine schedule. */
  readonly learningRate: number;
  /** FedProx μ; 0 turns the proximal term off. */
  readonly proximalMu: number;
}

/** Where a running fit or evaluation stands. */
export interface StepProgress {
  /** What is being done now, e.g. `caching`, `training`, `evaluating`. */
  readonly phase: string;
  readonly step: number;
  readonly totalSteps: number;
  /** Loss of the last step, when one exists. */
  readonly loss?: number;
}

/** Hooks a caller passes to long work. */
export interface WorkHooks {
  readonly onProgress?: (progress: StepProgress) => void;
  readonly signal?: AbortSignal;
}

/** What an optimiser remembers of the steps that it has taken. */
export interface OptimizerState {
  /** Steps that the moments are of; AdamW's bias correction goes on from here. */
  readonly stepsTaken: number;
  /** `first_moment/<parameter>` and `second_moment/<parameter>` for every parameter, float32, shaped as it (`momentSpecs`). */
  readonly moments: TensorSource;
}

/** An optimiser's state that goes on from one fit to the next. */
export interface KeptOptimizer {
  /** What to go on from; `null`: moments of zero, no step taken. It is read before the first step, piece by piece. */
  readonly state: OptimizerState | null;
  /**
   * Takes the state after the last step. A learner calls it once, and leaves the memory that the state lies in alone until it
   * returns, so that moments need not be copied.
   */
  keep(state: OptimizerState): Promise<void>;
}

/** What a caller passes to a fit beside its instructions. */
export interface FitOptions extends WorkHooks {
  /**
   * SCAFFOLD: `c − c_k`, float32 tensors named and shaped as the parameters. A constant that is added to every gradient before it
   * is clipped. It is read once, piece by piece.
   */
  readonly correction?: TensorSource;
  /** Where AdamW goes on from, and what takes its state at the end. Absent: it begins anew, and its state is dropped. */
  readonly optimizer?: KeptOptimizer;
}

/** The outcome of a local training round. */
export interface FitResult {
  readonly parameters: Parameters;
  /**
   * With LoRA: the factors of this round's change, `<module>.lora_A.weight` [rank, in] and `<module>.lora_B.weight` [out, rank] for
   * every parameter `<module>.weight`, of which `parameters` are the sum with what the round began with. They are what is sent.
   */
  readonly factors?: Parameters;
  /**
   * With a correction: the mean of this learner's own gradients over the steps that were applied, weighted by their learning rates,
   * before correction and clipping. SCAFFOLD's next control variate c_k⁺: with plain descent it is exactly
   * `c_k − c + (w − w_k)/(K·lr)`, the paper's option II. With AdamW that formula would give the mean of normalised steps, of size 1
   * each, which says nothing about gradients and would outweigh them.
   */
  readonly meanGradient?: Parameters;
  /** Weight of this update in an example-weighted mean. */
  readonly numExamples: number;
  readonly metrics: Metrics;
}

/** The outcome of an evaluation. */
export interface EvaluateResult {
  /** Mean policy loss over the evaluated samples. */
  readonly loss: number;
  readonly numExamples: number;
  readonly metrics: Metrics;
}

/**
 * A model bound to one dataset: what a federation needs of it and nothing more.
 * Both calls leave the learner unchanged apart from caches; parameters always come in from outside.
 */
export interface Learner {
  fit(global: Parameters, instructions: FitInstructions, options?: FitOptions): Promise<FitResult>;
  /** Evaluates with noise and times fixed by `seed`; `batches` 0 means the whole dataset. */
  evaluate(
    parameters: Parameters,
    options: { readonly seed: string; readonly batches: number; readonly batchSize: number },
    hooks?: WorkHooks,
  ): Promise<EvaluateResult>;
  close(): Promise<void>;
}
