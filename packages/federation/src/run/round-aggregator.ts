import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deriveSeed, headerLimits, SafetensorsError, type BlobReference, type HeaderLimits, type JsonObject, type Metrics, type RunEvent, type RunState } from '@zk0/core';
import { createSafetensors, type SafetensorsWriter } from '@zk0/storage';
import {
  checkUpdate,
  UpdateRejectedError,
  type AggregationInput,
  type ExcludedUpdate,
  type PassSharing,
  type Strategy,
  type UpdateInspection,
} from '@zk0/strategy';
import { AggregationThreads } from '../aggregation-threads.ts';
import type { EngineBlobs } from '../blobs/engine-blobs.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FederationLog } from '../log.ts';
import { PartSharing, type PartSharingOptions } from '../parts/part-sharing.ts';
import { OpenBlobs, type OpenTensors } from './open-blobs.ts';
import { acceptedIn, openRound, sentTensors, startOf } from './open-round.ts';
import { publish, publishedParameters } from './publish-parameters.ts';
import { isMasked, maskedSpecs } from './secure/masked-file.ts';
import { neededUpdates } from './secure/stages.ts';
import { sumOfRound } from './secure/sum-of-round.ts';
import { updateCosines } from './update-cosines.ts';
import { rejectionOf, updateTensors } from './update-tensors.ts';

/** The store forces to disk what it takes over. */
const SCRATCH = { durable: false };

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
  /** Has aggregations computed in parts, which other processes may take; all of it here when absent. */
  readonly parts?: SharedParts | undefined;
}

/** With whom parts of aggregations are shared. */
export type SharedParts = Pick<PartSharingOptions, 'queue' | 'holder' | 'clock' | 'maxParts' | 'minBytes'>;

/** Checks updates as they come in and folds a round's into the next parameters. */
export class RoundAggregator {
  readonly #options: RoundAggregatorOptions;
  readonly #threads = new AggregationThreads();
  #parts: PartSharing | undefined;
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
      const sent = await sentTensors(this.#options.strategy, { update, control }, (blob) => this.#openSent(incoming.clientId, blob, files, headerLimits(newest.specs)));
      const tensors = { ...sent, ...updateTensors(state, incoming.clientId, sent.tensors, begun) };
      const inspection = await checkUpdate({ ...incoming, ...tensors, ...startOf(state, participant), maxExamples: declared }, { global: newest, guards, workers: this.#threads.for(newest.byteLength) });
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
    const accepted = acceptedIn(round);
    const isMaskedRound = round.secure !== undefined;
    const needed = isMaskedRound ? neededUpdates(state, round) : (this.#options.strategy.buffer?.size ?? Math.min(state.config.minClients, round.participants.size));
    if (accepted.length < needed) {
      return { type: 'round-skipped', round: round.round, reason: `${accepted.length} of ${needed} updates needed` };
    }
    const { blobs, ledger, log, scratchDirectory, strategy } = this.#options;
    await mkdir(scratchDirectory, { recursive: true });
    const files = new OpenBlobs(blobs);
    try {
      const damaged: ExcludedUpdate[] = [];
      const opened = await openRound(state, {
        ledger,
        strategy,
        files,
        openSent: (blob) => files.openVerified(blob),
        inspectionOf: (_clientId, { hash }) => this.#inspections.get(hash),
        onDamaged: (clientId, error) => {
          damaged.push({ clientId, code: 'BLOB_DAMAGED', reason: 'the server’s copy of its update is damaged or gone' });
          log.error(`the update of client ${clientId} was taken in, and cannot be used: ${error.message}`, { round: round.round });
        },
      });
      const path = join(scratchDirectory, `${state.runId}-${round.round}`);
      const { global } = opened;
      const input = isMaskedRound ? { ...opened, updates: [await sumOfRound(state, accepted, { files, global, path: `${path}.sum`, signal })] } : opened;
      const { updates } = input;
      if (!isMaskedRound && updates.length < needed) {
        return { type: 'round-skipped', round: round.round, reason: `${updates.length} of ${needed} updates needed; ${damaged.length} are damaged on the server` };
      }
      const stateSpecs = strategy.stateSpecs(global.specs);
      const sharing = isMaskedRound ? undefined : this.#sharing(state, input, damaged, signal);
      const newParameters = await createSafetensors(`${path}.parameters`, global.specs, SCRATCH);
      const newState = stateSpecs.length === 0 ? null : await createSafetensors(`${path}.state`, stateSpecs, SCRATCH);
      try {
        const result = await strategy.aggregate(
          input,
          { parameters: newParameters, state: newState },
          { signal, workers: this.#threads.for(global.byteLength), ...(sharing !== undefined && { sharing }) },
        );
        const [aggregated, adoptedState, cosines] = await allEnded([
          this.#adopt(newParameters),
          newState === null ? null : this.#adopt(newState),
          // In a private run they would say of one client's update what no noise covers.
          strategy.isPrivate || isMaskedRound ? {} : updateCosines(updates, global, deriveSeed(state.config.seed, 'cosines', round.round)),
        ] as const);
        const published = await publish(state, aggregated, { blobs, path: `${path}.published` });
        const event: RunEvent = {
          type: 'round-aggregated',
          round: round.round,
          parameters: aggregated,
          ...(published !== undefined && { published }),
          strategyState: adoptedState,
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

  close(): Promise<void> {
    return this.#threads.close();
  }

  /** What has passes computed in parts, where other processes may take them. */
  #sharing(state: RunState, { updates }: AggregationInput, damaged: readonly ExcludedUpdate[], signal: AbortSignal): PassSharing | undefined {
    const { parts } = this.#options;
    if (parts === undefined) return undefined;
    const norms = Object.fromEntries(updates.flatMap(({ clientId, inspection }) => (inspection === undefined ? [] : [[clientId, inspection.norm]])));
    return (this.#parts ??= new PartSharing({ ...this.#options, ...parts })).of({ state, norms, damaged: damaged.map(({ clientId }) => clientId), signal });
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

  /** A masked update says nothing but its size. @throws UpdateRejectedError when it is not one */
  async #inspectMasked(clientId: string, update: BlobReference, files: OpenBlobs, { specs }: OpenTensors): Promise<void> {
    const sent = await this.#openSent(clientId, update, files, headerLimits(maskedSpecs(specs)));
    if (isMasked(sent.specs, specs)) return;
    throw new UpdateRejectedError('UPDATE_WRONG_ENCODING', clientId, 'it is not a masked update of these parameters, which the run asks for', { hint: 'Run the same zk0 release on both sides.' });
  }

  async #adopt(writer: SafetensorsWriter): Promise<BlobReference> {
    const written = await writer.commit();
    const blob = await this.#options.blobs.putFile(writer.path, written);
    await rm(writer.path, { force: true });
    return blob;
  }
}

/** As `Promise.all`, but fails only once nothing is under way any more: what they work with may be closed then. */
async function allEnded<T extends readonly unknown[]>(work: T): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}
