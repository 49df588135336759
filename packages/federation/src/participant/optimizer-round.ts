import { MemoryTensorSource, type KeptOptimizer, type Parameters } from '@zk0/core';
import type { SafetensorsFile } from '@zk0/storage';
import { FederationError } from '../errors.ts';
import type { FederationLog } from '../log.ts';
import type { FitTask } from '../run/instructions.ts';
import type { OpenOptimizer, OptimizerStore } from './optimizer-store.ts';
import type { UnnamedFile, UpdatePosition } from './run-files.ts';

/** The part of one round that a kept optimiser has: what it goes on from, and what is kept of it. */
export class OptimizerRound {
  /** For the fit. */
  readonly kept: KeptOptimizer;
  readonly #optimizers: OptimizerStore;
  readonly #position: UpdatePosition;
  readonly #file: SafetensorsFile | null;
  #written: UnnamedFile | undefined;

  private constructor(optimizers: OptimizerStore, position: UpdatePosition, state: OpenOptimizer['state']) {
    this.#optimizers = optimizers;
    this.#position = position;
    this.#file = state?.moments ?? null;
    this.kept = {
      state,
      keep: async (after) => {
        this.#written = await optimizers.write(position, after);
      },
    };
  }

  /** Opens the moments; a run that keeps none has none, and what was kept of others is removed. */
  static async open(
    runId: string,
    { fit: { round }, optimizer }: FitTask,
    global: Parameters,
    { optimizers, log }: { readonly optimizers: OptimizerStore; readonly log: FederationLog },
  ): Promise<OptimizerRound | null> {
    if (optimizer === undefined) {
      await optimizers.clear();
      return null;
    }
    const position = { runId, round, last: optimizer.last };
    const { state, lost } = await optimizers.open(position, MemoryTensorSource.fromParameters(global).specs);
    if (lost !== undefined) log.warn(`the optimiser's moments of this client are lost (${lost}): they begin with zero`, { round });
    return new OptimizerRound(optimizers, position, state);
  }

  /**
   * Names the moments by the update that is about to be sent.
   *
   * @throws FederationError TASK_REFUSED when the model has given none.
   */
  async name(update: string): Promise<void> {
    if (this.#written !== undefined) return this.#optimizers.name(this.#position, this.#written, update);
    throw new FederationError('TASK_REFUSED', 'the run keeps the moments of its clients’ optimisers, and the model of this client gives none', {
      hint: 'Join a run with --client-optimizer restart.',
    });
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
