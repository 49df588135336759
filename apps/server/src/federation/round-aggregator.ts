import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { compareNames, deriveSeed, SafetensorsError, type BlobReference, type Metrics, type RoundState, type RunEvent, type RunState } from '@zk0/core';
import { createSafetensors, openSafetensors, type BlobStore, type SafetensorsFile } from '@zk0/storage';
import { checkUpdate, UpdateRejectedError, WorkerPool, type Scalars, type Strategy, type UpdateInspection } from '@zk0/strategy';
import { startContextSchema } from './run-recorder.ts';
import { toJson } from './to-json.ts';

/** Parameters this large are aggregated on worker threads; smaller ones are done before the threads have started. */
const WORKER_PARAMETER_BYTES = 32 * 2 ** 20;
const MAX_WORKERS = 4;

/** An update that came in, before it is journaled. */
export interface IncomingUpdate {
  readonly clientId: string;
  readonly update: BlobReference;
  /** The change of its control variate; needed where the strategy asks for it, and not looked at elsewhere. */
  readonly control?: BlobReference;
  readonly numExamples: number;
  readonly metrics: Metrics;
}

/** What aggregating needs. */
export interface RoundAggregatorOptions {
  readonly strategy: Strategy;
  readonly blobs: BlobStore;
  readonly scratchDirectory: string;
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
  async inspect(state: RunState, { update, control, ...incoming }: IncomingUpdate): Promise<void> {
    const files = new OpenFiles(this.#options.blobs);
    try {
      const { guards } = this.#options.strategy;
      const global = await files.open(state.parameters!);
      const tensors = await this.#tensorsOf({ update, control }, (blob) => this.#openSent(incoming.clientId, blob, files));
      const inspection = await checkUpdate({ ...incoming, ...tensors }, { global, guards, workers: this.#workersFor(global) });
      this.#inspections.set(update.hash, inspection);
    } finally {
      await files.close();
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
    const files = new OpenFiles(blobs);
    try {
      const strategy = this.#options.strategy;
      const global = await files.open(state.parameters!);
      const updates = await Promise.all(
        accepted
          .sort((a, b) => compareNames(a.clientId, b.clientId))
          .map(async ({ clientId, numExamples, metrics, update, control }) => {
            const inspection = this.#inspections.get(update.hash);
            const tensors = await this.#tensorsOf({ update, control }, (blob) => files.open(blob));
            return { clientId, numExamples, metrics, ...tensors, ...(inspection === undefined ? {} : { inspection }) };
          }),
      );
      const oldState = state.strategyState === null ? null : await files.open(state.strategyState);
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
            failures: failures(round),
            population: everyClient(state).size,
          },
          { parameters, state: newState },
          { signal, workers: this.#workersFor(global) },
        );
        const newParameters = await parameters.commit();
        const newStateBlob = await newState?.commit();
        this.#inspections.clear();
        return {
          type: 'round-aggregated',
          round: round.round,
          parameters: await this.#adopt(`${path}.parameters`, newParameters),
          strategyState: newStateBlob === undefined ? null : await this.#adopt(`${path}.state`, newStateBlob),
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
      await files.close();
    }
  }

  async close(): Promise<void> {
    await this.#workers?.close();
    this.#workers = undefined;
  }

  /** An update's tensors, and the change of its control variate where the strategy asks for one. */
  async #tensorsOf(
    { update, control }: { readonly update: BlobReference; readonly control: BlobReference | undefined },
    open: (blob: BlobReference) => Promise<SafetensorsFile>,
  ): Promise<{ tensors: SafetensorsFile; control?: SafetensorsFile }> {
    const tensors = await open(update);
    const isNeeded = this.#options.strategy.guards.needsControl === true;
    return control === undefined || !isNeeded ? { tensors } : { tensors, control: await open(control) };
  }

  /**
   * Opens what a client says that it sent.
   *
   * @throws UpdateRejectedError `UPDATE_UNREADABLE`, without the paths of this machine: the client is told.
   */
  async #openSent(clientId: string, blob: BlobReference, files: OpenFiles): Promise<SafetensorsFile> {
    const refuse = (what: string, cause?: unknown): UpdateRejectedError =>
      new UpdateRejectedError('UPDATE_UNREADABLE', clientId, what, { cause, hint: 'Run the same zk0 release on both sides.' });
    if (!(await this.#options.blobs.has(blob.hash))) throw refuse(`it was not uploaded (${blob.hash})`);
    try {
      return await files.open(blob);
    } catch (error) {
      throw error instanceof SafetensorsError ? refuse(`it is no safetensors file: ${error.problem}`, error) : error;
    }
  }

  async #adopt(path: string, written: BlobReference): Promise<BlobReference> {
    const blob = await this.#options.blobs.putFile(path, written);
    await rm(path, { force: true });
    return blob;
  }

  #workersFor({ byteLength }: SafetensorsFile): WorkerPool | 0 {
    if (byteLength < WORKER_PARAMETER_BYTES) return 0;
    return (this.#workers ??= new WorkerPool(Math.min(MAX_WORKERS, availableParallelism())));
  }
}

/** Blobs that are read as tensors, closed together. */
class OpenFiles {
  readonly #blobs: BlobStore;
  readonly #files: SafetensorsFile[] = [];

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  async open({ hash }: BlobReference): Promise<SafetensorsFile> {
    const file = await openSafetensors(this.#blobs.path(hash));
    this.#files.push(file);
    return file;
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }
}

/** Who was there when the run started, or has been asked since: a function of the journal, so that a restarted server counts the same. */
function everyClient({ context, rounds }: RunState): ReadonlySet<string> {
  const atStart = startContextSchema.parse(context).datasets.flatMap(({ clientId }) => (clientId === undefined ? [] : [clientId]));
  return new Set([...atStart, ...rounds.flatMap(({ participants }) => [...participants.keys()])]);
}

/** Clients that were asked, needed, and gave nothing that counts. */
function failures({ participants }: RoundState): number {
  return [...participants.values()].filter(({ outcome: { state } }) => state === 'assigned' || state === 'refused').length;
}
