import type { Evaluation, FitInstructions, FitOptions, FitResult, JsonObject, Parameters, RunConfig, RunState, WorkHooks } from '@zk0/core';
import type { ClientDescription, RegisteredClient } from './clients/registered-client.ts';

/**
 * The server's side of a model: what a federation needs to know about what it trains. An application hands one in; the engine knows
 * nothing of networks, datasets or robots.
 */
export interface FederatedModel {
  /** Understands what a client says of itself. @throws Zk0Error to refuse the client, which is told why. */
  describeClient(profile: JsonObject): ClientDescription;
  /** Looks a submitted configuration over. @throws Zk0Error for one that could only fail later. */
  checkConfig?(config: RunConfig): void | Promise<void>;
  /**
   * Opens the model for a run: of one that has started, with the context that it started with; of a new one, with the clients that are
   * there.
   *
   * @throws Zk0Error which ends the run as failed, or StorageError of a passing kind (a full disk), after which it is tried again.
   */
  openRun(run: OpenRunOptions): Promise<RunModel>;
}

export interface OpenRunOptions {
  readonly runId: string;
  readonly config: RunConfig;
  /** What {@link RunModel.start} gave; `null` for a run that has not started. */
  readonly context: JsonObject | null;
  /** Who is there. */
  readonly clients: readonly RegisteredClient[];
  readonly signal: AbortSignal;
}

/** How a run's clients train unless its configuration says otherwise. */
export interface TrainingDefaults {
  readonly localSteps: number;
  readonly batchSize: number;
  readonly learningRate: number;
}

/** A model that is open for one run. Every call can be repeated after a crash. */
export interface RunModel {
  readonly trainingDefaults: TrainingDefaults;
  /**
   * Why a client cannot take part in this run; `null` when it can. Absent: every client can.
   *
   * @param all Everybody who is there: before the run starts, what fits may depend on the others.
   */
  misfit?(client: RegisteredClient, all: readonly RegisteredClient[]): string | null;
  /**
   * Fixes what holds for the whole run.
   *
   * @returns the initial parameters, and the context that every task carries (at most a few kB of JSON).
   */
  start(clients: readonly RegisteredClient[]): Promise<{ readonly parameters: Parameters; readonly context: JsonObject }>;
  /** What one client is told beside the context and its training instructions; absent where there is nothing. */
  clientInstructions?(client: RegisteredClient): JsonObject | undefined;
  /**
   * Evaluates parameters; `null` (or no such method) where there is nothing to evaluate on. With the same seed the same samples and noise every time.
   *
   * @param path A safetensors file.
   */
  evaluate?(path: string, round: number, hooks: WorkHooks, state: RunState): Promise<Evaluation | null>;
  /**
   * Saves a checkpoint, whole or not at all; saving the same one again replaces it.
   *
   * @param path A safetensors file with the parameters of `round`.
   * @param createdAt When the run was submitted.
   * @returns where it is.
   */
  saveCheckpoint(path: string, round: number, state: RunState, createdAt: Date): Promise<string>;
  /**
   * Saves the parameters of the round with the lowest held-out loss so far, in place of those that had it before; absent: no such checkpoint
   * is kept. Called after {@link saveCheckpoint} of the same round, where there is one.
   */
  saveBest?(path: string, round: number, state: RunState, createdAt: Date): Promise<void>;
  close?(): Promise<void>;
}

/** The client's side of a model. */
export interface LocalModel {
  /** What the server may know: sizes and statistics, never data. */
  profile(): JsonObject;
  /**
   * Trains as one task says.
   *
   * @param task.context What {@link RunModel.start} fixed, as the server sent it: check it before use.
   * @throws Zk0Error to refuse the task; the server is told code and message.
   */
  fit(task: LocalTask, global: Parameters, options: FitOptions): Promise<FitResult>;
}

/** A task as the local model sees it. */
export interface LocalTask {
  readonly runId: string;
  readonly context: JsonObject;
  readonly fit: FitInstructions;
  /** What {@link RunModel.clientInstructions} said. */
  readonly client?: JsonObject;
}
