import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage, type BlobReference, type RunState } from '@zk0/core';
import { isPassingStorageError } from '@zk0/storage';
import { computePart, createStrategy } from '@zk0/strategy';
import { AggregationThreads } from '../aggregation-threads.ts';
import type { EngineBlobs } from '../blobs/engine-blobs.ts';
import { pause, type Clock } from '../clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FederationLog } from '../log.ts';
import { OpenBlobs, type OpenTensors } from '../run/open-blobs.ts';
import { acceptedIn, openRound } from '../run/open-round.ts';
import { writePart } from './part-file.ts';
import { readPlan, readSums } from './part-plan.ts';
import type { AggregationPart, PartQueue, TakenPart } from './part-queue.ts';
import { openRanged, windowFor } from './ranged-tensors.ts';
import { whileRenewed } from './while-renewed.ts';

/** Between two attempts to take parts while the store is away, in ms. */
const RETRY_MS = 1000;

/** What a worker needs. */
export interface PartWorkerOptions {
  readonly queue: PartQueue;
  /** Names this worker among all. */
  readonly holder: string;
  readonly ledger: Ledger;
  readonly blobs: EngineBlobs;
  /** Room for parts in the making, on the blobs' file system where there is one. */
  readonly scratchDirectory: string;
  readonly clock: Clock;
  readonly log: FederationLog;
}

/** Computes parts of aggregations for whoever offers them. It may be started and stopped at any time: what it leaves, another takes. */
export class PartWorker {
  readonly #options: PartWorkerOptions;
  readonly #threads = new AggregationThreads();

  constructor(options: PartWorkerOptions) {
    this.#options = options;
  }

  /** Takes one part after the other until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { queue, holder, clock, log } = this.#options;
    let trouble: string | undefined;
    while (!signal.aborted) {
      try {
        const taken = await queue.take(holder, signal);
        if (taken !== null) await this.#work(taken, signal);
        trouble = undefined;
      } catch (error) {
        if (!isPassingStorageError(error)) throw error;
        const message = errorMessage(error);
        if (message !== trouble) log.warn(`no parts of aggregations can be taken at the moment: ${message}`, { error });
        trouble = message;
        await pause(clock, RETRY_MS, signal);
      }
    }
    await this.#threads.close();
  }

  async #work(taken: TakenPart, signal: AbortSignal): Promise<void> {
    const { queue, clock, log } = this.#options;
    try {
      await whileRenewed(taken, clock, queue.intervalMs, signal, async (lost) => {
        const result = await this.#compute(taken.part, lost);
        await taken.done(result);
      });
    } catch (error) {
      if (signal.aborted) return;
      log.warn(`a part of an aggregation could not be computed here, another process does it: ${errorMessage(error)}`, { error });
      await taken.fail();
    }
  }

  async #compute({ plan: reference, from, to }: AggregationPart, signal: AbortSignal): ReturnType<EngineBlobs['putFile']> {
    const { ledger, blobs, scratchDirectory } = this.#options;
    const plan = await readPlan(blobs, reference);
    const earlier = await Promise.all(plan.earlier.map((sums) => readSums(blobs, sums)));
    const state = await ledger.stateAt(plan.runId, plan.position);
    const strategy = createStrategy(state.config.strategy);
    const files = new OpenBlobs(blobs);
    const path = join(scratchDirectory, `part-${randomUUID()}`);
    await mkdir(scratchDirectory, { recursive: true });
    try {
      const input = await openRound(state, {
        ledger,
        strategy,
        files,
        openSent: (blob) => openSent(blobs, blob, files, state),
        inspectionOf: (clientId) => inspectionOf(plan.norms[clientId]),
        damaged: plan.damaged,
      });
      const workers = this.#threads.for(input.global.byteLength);
      await writePart(path, (write) => computePart(strategy, input, { pass: plan.pass, from, to, earlier, write, signal, workers }));
      return await blobs.putFile(path);
    } finally {
      await files.close();
      await rm(path, { force: true });
    }
  }
}

function inspectionOf(norm: number | undefined): { readonly norm: number } | undefined {
  return norm === undefined ? undefined : { norm };
}

/** What a client sent. Of a store that is elsewhere only what the part reads is fetched: all processes together fetch it about once. */
function openSent(blobs: EngineBlobs, blob: BlobReference, files: OpenBlobs, state: RunState): Promise<OpenTensors> {
  if (blobs.isRemote !== true || blobs.openRead === undefined) return files.openVerified(blob);
  return openRanged({ openRead: (hash, range) => blobs.openRead!(hash, range) }, blob, windowFor(acceptedIn(state.rounds.at(-1)!).length));
}
