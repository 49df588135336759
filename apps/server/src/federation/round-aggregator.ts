import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { compareNames, deriveSeed, type BlobReference, type Metrics, type RunEvent, type RunState } from '@zk0/core';
import { createSafetensors, openSafetensors, type BlobStore, type SafetensorsFile } from '@zk0/storage';
import { checkUpdate, WorkerPool, type Scalars, type Strategy, type UpdateInspection } from '@zk0/strategy';
import { toJson } from './to-json.ts';

/** Parameters this large are aggregated on worker threads; smaller ones are done before the threads have started. */
const WORKER_PARAMETER_BYTES = 32 * 2 ** 20;
const MAX_WORKERS = 4;

/** An update that came in, before it is journaled. */
export interface IncomingUpdate {
  readonly clientId: string;
  readonly update: BlobReference;
  readonly numExamples: number;
  readonly metrics: Metrics;
}

/** What aggregating needs. */
export interface RoundAggregatorOptions {
  readonly strategy: Strategy;
  readonly blobs: BlobStore;
  readonly scratchDirectory: string;
  /** Clients that could take part. */
  readonly population: () => number;
}

/** Checks updates as they come in and folds a round's into the next parameters. */
export class RoundAggregator {
  readonly #options: RoundAggregatorOptions;
  #workers: WorkerPool | undefined;
  /** What reading this round's updates has shown, by blob; after a restart the aggregation reads them itself. */
  readonly #inspections = new Map<string, UpdateInspection>();

  constructor(options: RoundAggregatorOptions) {
    this.#options = options;
  }

  /**
   * Reads an update through before it may count.
   *
   * @throws Zk0Error naming client and tensor when it must not.
   */
  async inspect(state: RunState, incoming: IncomingUpdate): Promise<void> {
    const { blobs } = this.#options;
    const global = await openSafetensors(blobs.path(state.parameters!.hash));
    try {
      const tensors = await openSafetensors(blobs.path(incoming.update.hash));
      try {
        const { guards } = this.#options.strategy;
        const inspection = await checkUpdate({ ...incoming, tensors }, { global, guards, workers: this.#workersFor(global) });
        this.#inspections.set(incoming.update.hash, inspection);
      } finally {
        await tensors.close();
      }
    } finally {
      await global.close();
    }
  }

  /** Folds a closed round's updates into the next parameters, or skips the round when there are too few. */
  async aggregate(state: RunState, signal: AbortSignal): Promise<RunEvent> {
    const round = state.rounds.at(-1)!;
    const accepted = [...round.participants].flatMap(([clientId, { outcome }]) =>
      outcome.state === 'accepted' ? [{ clientId, ...outcome }] : [],
    );
    const needed = Math.min(state.config.minClients, round.participants.size);
    if (accepted.length < needed) {
      return { type: 'round-skipped', round: round.round, reason: `${accepted.length} of ${needed} updates needed` };
    }
    const { blobs, scratchDirectory } = this.#options;
    await mkdir(scratchDirectory, { recursive: true });
    const opened: SafetensorsFile[] = [];
    const open = async (hash: string): Promise<SafetensorsFile> => {
      const file = await openSafetensors(blobs.path(hash));
      opened.push(file);
      return file;
    };
    try {
      const strategy = this.#options.strategy;
      const global = await open(state.parameters!.hash);
      const updates = await Promise.all(
        accepted
          .sort((a, b) => compareNames(a.clientId, b.clientId))
          .map(async ({ clientId, numExamples, metrics, update }) => {
            const inspection = this.#inspections.get(update.hash);
            return { clientId, numExamples, metrics, tensors: await open(update.hash), ...(inspection === undefined ? {} : { inspection }) };
          }),
      );
      const oldState = state.strategyState === null ? null : await open(state.strategyState.hash);
      const stateSpecs = strategy.stateSpecs(global.specs);
      const path = join(scratchDirectory, `${state.runId}-${round.round}`);
      const parameters = await createSafetensors(`${path}.parameters`, global.specs);
      const newState = stateSpecs.length === 0 ? null : await createSafetensors(`${path}.state`, stateSpecs);
      try {
        const result = await strategy.aggregate(
          {
            round: round.round,
            global,
            updates,
            state: oldState,
            scalars: state.strategyScalars as Scalars,
            seed: deriveSeed(state.config.seed, 'aggregate', round.round),
            failures: round.participants.size - accepted.length,
            population: this.#options.population(),
          },
          { parameters, state: newState },
          { signal, workers: this.#workersFor(global) },
        );
        await parameters.commit();
        await newState?.commit();
        this.#inspections.clear();
        return {
          type: 'round-aggregated',
          round: round.round,
          parameters: await this.#adopt(`${path}.parameters`),
          strategyState: newState === null ? null : await this.#adopt(`${path}.state`),
          strategyScalars: toJson(result.scalars),
          metrics: { ...result.metrics },
          excluded: result.excluded.map((update) => ({ ...update })),
        };
      } catch (error) {
        await parameters.abort();
        await newState?.abort();
        throw error;
      }
    } finally {
      await Promise.all(opened.map((file) => file.close()));
    }
  }

  async close(): Promise<void> {
    await this.#workers?.close();
    this.#workers = undefined;
  }

  async #adopt(path: string): Promise<BlobReference> {
    const blob = await this.#options.blobs.putFile(path);
    await rm(path, { force: true });
    return blob;
  }

  #workersFor({ byteLength }: SafetensorsFile): WorkerPool | 0 {
    if (byteLength < WORKER_PARAMETER_BYTES) return 0;
    return (this.#workers ??= new WorkerPool(Math.min(MAX_WORKERS, availableParallelism())));
  }
}
