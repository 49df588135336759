import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { compareNames, deriveSeed, headerLimits, SafetensorsError, type BlobReference, type HeaderLimits, type JsonObject, type Metrics, type Participant, type RoundState, type RunEvent, type RunState, versionsSince } from '@zk0/core';
import { SecureAggregationError } from '@zk0/secure-aggregation';
import { createSafetensors, StorageError } from '@zk0/storage';
import {
  checkUpdate,
  roundMetrics,
  UpdateRejectedError,
  WorkerPool,
  type ClientUpdate,
  type ExcludedUpdate,
  type Scalars,
  type Strategy,
  type UpdateInspection,
} from '@zk0/strategy';
import type { EngineBlobs } from '../blobs/engine-blobs.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FederationLog } from '../log.ts';
import { assignmentSchema } from './instructions.ts';
import { OpenBlobs, type OpenTensors } from './open-blobs.ts';
import { publish, publishedParameters } from './publish-parameters.ts';
import { isMasked, maskedSpecs } from './secure/masked-file.ts';
import { neededUpdates } from './secure/stages.ts';
import { unmaskSum } from './secure/unmask-sum.ts';
import { updateCosines } from './update-cosines.ts';
import { rejectionOf, updateTensors } from './update-tensors.ts';

/** Parameters this large are aggregated on worker threads; smaller ones are done before the threads have started. */
const WORKER_PARAMETER_BYTES = 32 * 2 ** 20;
const MAX_WORKERS = 4;

/** An update that came in, before it is recorded. */
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
  readonly ledger: Ledger;
  readonly strategy: Strategy;
  readonly blobs: EngineBlobs;
  readonly scratchDirectory: string;
  readonly log: FederationLog;
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
   * @param declared Examples that the client declared when it joined: it cannot have trained on more.
   * @throws UpdateRejectedError naming client and tensor when it must not count; anything else is the server's own trouble.
   */
  async inspect(state: RunState, { update, control, ...incoming }: IncomingUpdate, declared: number): Promise<void> {
    const files = new OpenBlobs(this.#options.blobs);
    try {
      const { guards } = this.#options.strategy;
      const newest = await files.openFresh(state.parameters!);
      if (state.rounds.at(-1)!.secure !== undefined) {
        await this.#inspectMasked(incoming.clientId, update, files, newest);
        return;
      }
      const participant = state.rounds.at(-1)!.participants.get(incoming.clientId);
      const parameters = participant?.task?.parameters ?? publishedParameters(state);
      const begun = { parameters, global: parameters.hash === state.parameters!.hash ? newest : await files.openFresh(parameters) };
      const sent = await this.#tensorsOf({ update, control }, (blob) => this.#openSent(incoming.clientId, blob, files, headerLimits(newest.specs)));
      const tensors = { ...sent, ...updateTensors(state, incoming.clientId, sent.tensors, begun) };
      const inspection = await checkUpdate({ ...incoming, ...tensors, ...startOf(state, participant), maxExamples: declared }, { global: newest, guards, workers: this.#workersFor(newest) });
      this.#inspections.set(update.hash, inspection);
    } catch (error) {
      throw rejectionOf(incoming.clientId, error);
    } finally {
      await files.close();
    }
  }

  /**
   * Folds a closed round's updates into the next parameters.
   *
   * @returns the event to record: `round-aggregated`, or `round-skipped` when fewer clients than needed gave an update.
   * @throws AggregationError when the strategy says that the round cannot count; anything else is the server's own trouble.
   */
  async aggregate(state: RunState, signal: AbortSignal): Promise<RunEvent> {
    const round = state.rounds.at(-1)!;
    const accepted = [...round.participants].flatMap(([clientId, participant]) =>
      participant.outcome.state === 'accepted' ? [{ clientId, participant, ...participant.outcome }] : [],
    );
    const needed = round.secure === undefined ? (this.#options.strategy.buffer?.size ?? Math.min(state.config.minClients, round.participants.size)) : neededUpdates(state, round);
    if (accepted.length < needed) {
      return { type: 'round-skipped', round: round.round, reason: `${accepted.length} of ${needed} updates needed` };
    }
    const { blobs, ledger, log, scratchDirectory, strategy } = this.#options;
    await mkdir(scratchDirectory, { recursive: true });
    const files = new OpenBlobs(blobs);
    try {
      const global = await files.openVerified(state.parameters!);
      const bases = new Map([[state.parameters!.hash, global]]);
      /** What a client began with. */
      const begunWith = async ({ task }: Participant): Promise<{ readonly parameters: BlobReference; readonly global: OpenTensors }> => {
        const parameters = task?.parameters ?? publishedParameters(state);
        const base = bases.get(parameters.hash) ?? (await files.openVerified(parameters));
        bases.set(parameters.hash, base);
        return { parameters, global: base };
      };
      const updates: ClientUpdate[] = [];
      const damaged: ExcludedUpdate[] = [];
      const isMaskedRound = round.secure !== undefined;
      for (const { clientId, participant, numExamples, metrics, update, control } of isMaskedRound ? [] : accepted.sort((a, b) => compareNames(a.clientId, b.clientId))) {
        const inspection = this.#inspections.get(update.hash);
        try {
          const sent = await this.#tensorsOf({ update, control }, (blob) => files.openVerified(blob));
          const tensors = updateTensors(state, clientId, sent.tensors, await begunWith(participant));
          updates.push({ clientId, numExamples, metrics, ...startOf(state, participant), ...sent, ...tensors, ...(inspection === undefined ? {} : { inspection }) });
        } catch (error) {
          if (!isLost(error)) throw error;
          damaged.push({ clientId, code: 'BLOB_DAMAGED', reason: 'the server’s copy of its update is damaged or gone' });
          log.error(`the update of client ${clientId} was taken in, and cannot be used: ${error.message}`, { round: round.round });
        }
      }
      const path = join(scratchDirectory, `${state.runId}-${round.round}`);
      if (isMaskedRound) updates.push(await this.#sumOf(state, accepted, files, global, `${path}.sum`, signal));
      else if (updates.length < needed) {
        return { type: 'round-skipped', round: round.round, reason: `${updates.length} of ${needed} updates needed; ${damaged.length} are damaged on the server` };
      }
      const oldState = state.strategyState === null ? null : await files.openVerified(state.strategyState);
      const stateSpecs = strategy.stateSpecs(global.specs);
      const newParameters = await createSafetensors(`${path}.parameters`, global.specs);
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
            ...(strategy.needsNoiseSecret && { noiseSecret: await ledger.secret(state.runId) }),
            failures: failures(round) + damaged.length,
            population: everyClient(state).size,
          },
          { parameters: newParameters, state: newState },
          { signal, workers: this.#workersFor(global) },
        );
        // In a private run they would say of one client's update what no noise covers.
        const cosines = strategy.isPrivate || isMaskedRound ? {} : await updateCosines(updates, global, deriveSeed(state.config.seed, 'cosines', round.round));
        const aggregated = await this.#adopt(`${path}.parameters`, await newParameters.commit());
        const newStateBlob = await newState?.commit();
        const published = await publish(state, aggregated, { blobs, path: `${path}.published` });
        const event: RunEvent = {
          type: 'round-aggregated',
          round: round.round,
          parameters: aggregated,
          ...(published !== undefined && { published }),
          strategyState: newStateBlob === undefined ? null : await this.#adopt(`${path}.state`, newStateBlob),
          strategyScalars: JSON.parse(JSON.stringify(result.scalars)) as JsonObject,
          metrics: { ...result.metrics },
          excluded: [...damaged, ...result.excluded].map((update) => ({ ...update })),
          ...(Object.keys(cosines).length > 0 && { cosines }),
        };
        this.#inspections.clear();
        if (isMaskedRound) await rm(`${path}.sum`, { force: true });
        return event;
      } catch (error) {
        await newParameters.abort();
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

  /** A masked update says nothing but its size. @throws UpdateRejectedError when it is not one */
  async #inspectMasked(clientId: string, update: BlobReference, files: OpenBlobs, { specs }: OpenTensors): Promise<void> {
    const sent = await this.#openSent(clientId, update, files, headerLimits(maskedSpecs(specs)));
    if (isMasked(sent.specs, specs)) return;
    throw new UpdateRejectedError('UPDATE_WRONG_ENCODING', clientId, 'it is not a masked update of these parameters, which the run asks for', { hint: 'Run the same zk0 release on both sides.' });
  }

  /** The mean of a round's masked updates, as one update of all their clients. */
  async #sumOf(
    state: RunState,
    accepted: readonly { readonly clientId: string; readonly update: BlobReference; readonly metrics: Metrics }[],
    files: OpenBlobs,
    { specs }: OpenTensors,
    path: string,
    signal: AbortSignal,
  ): Promise<ClientUpdate> {
    const masked: OpenTensors[] = [];
    for (const { update } of accepted) {
      masked.push(
        await files.openVerified(update).catch((error: unknown) => {
          // Without it the masks of the others do not cancel.
          throw isLost(error) ? new SecureAggregationError('SECURE_TOO_FEW', `the server’s copy of an update in the sum is damaged or gone: ${error.message}`) : error;
        }),
      );
    }
    await unmaskSum(state, masked, specs, path, signal);
    const clients = accepted.length;
    const metrics = roundMetrics(accepted.map((update) => ({ numExamples: 1, metrics: update.metrics })), false);
    return { clientId: `the sum of ${clients} clients`, clients, numExamples: 1, metrics, kind: 'delta', tensors: await files.openFile(path) };
  }

  /** An update's tensors, and the change of its control variate where the strategy asks for one. */
  async #tensorsOf(
    { update, control }: { readonly update: BlobReference; readonly control: BlobReference | undefined },
    open: (blob: BlobReference) => Promise<OpenTensors>,
  ): Promise<{ tensors: OpenTensors; control?: OpenTensors }> {
    const tensors = await open(update);
    const isNeeded = this.#options.strategy.guards.needsControl === true;
    return control === undefined || !isNeeded ? { tensors } : { tensors, control: await open(control) };
  }

  /**
   * Opens what a client says that it sent.
   *
   * @throws UpdateRejectedError `UPDATE_UNREADABLE`, without the paths of this machine: the client is told.
   */
  async #openSent(clientId: string, blob: BlobReference, files: OpenBlobs, limits: HeaderLimits): Promise<OpenTensors> {
    const refuse = (what: string, cause?: unknown): UpdateRejectedError =>
      new UpdateRejectedError('UPDATE_UNREADABLE', clientId, what, { cause, hint: 'Run the same zk0 release on both sides.' });
    if ((await this.#options.blobs.size(blob.hash)) !== blob.byteLength) throw refuse(`it was not uploaded (${blob.hash})`);
    try {
      return await files.openFresh(blob, limits);
    } catch (error) {
      throw error instanceof SafetensorsError ? refuse(`it is no safetensors file: ${error.problem}`, error) : error;
    }
  }

  async #adopt(path: string, written: BlobReference): Promise<BlobReference> {
    const blob = await this.#options.blobs.putFile(path, written);
    await rm(path, { force: true });
    return blob;
  }

  #workersFor({ byteLength }: OpenTensors): WorkerPool | 0 {
    if (byteLength < WORKER_PARAMETER_BYTES) return 0;
    return (this.#workers ??= new WorkerPool(Math.min(MAX_WORKERS, availableParallelism())));
  }
}

/** How long ago a client began, and how many steps it made, where that may differ between the updates of a round. */
function startOf(state: RunState, participant: Participant | undefined): Pick<ClientUpdate, 'staleness' | 'localSteps'> {
  const { task, instructions } = participant ?? {};
  const fit = state.config.localStepsBySpeed === undefined ? undefined : assignmentSchema.shape.fit.parse(instructions?.['fit']);
  return {
    ...(task !== undefined && { staleness: versionsSince(state, task.round) }),
    ...(fit !== undefined && { localSteps: fit.localSteps }),
  };
}

/** What the server took in and does not have any more is its own fault, not the client's. */
function isLost(error: unknown): error is StorageError {
  return error instanceof StorageError && (error.code === 'BLOB_DAMAGED' || error.code === 'BLOB_NOT_FOUND');
}

/** Who was there when the run started, or has been asked since: a function of the ledger, so that a restarted server counts the same. */
function everyClient({ clients, rounds }: RunState): ReadonlySet<string> {
  return new Set([...clients, ...rounds.flatMap(({ participants }) => [...participants.keys()])]);
}

/** Clients that were asked, needed, and gave nothing that counts. */
function failures({ participants }: RoundState): number {
  return [...participants.values()].filter(({ outcome: { state } }) => state !== 'accepted' && state !== 'unneeded').length;
}
