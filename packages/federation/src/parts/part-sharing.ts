import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CancelledError, errorMessage, type RunState } from '@zk0/core';
import { StorageError } from '@zk0/storage';
import type { PassPart, PassSharing, SharedPass } from '@zk0/strategy';
import type { EngineBlobs } from '../blobs/engine-blobs.ts';
import { pause, type Clock } from '../clock.ts';
import { FederationError } from '../errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { FederationLog } from '../log.ts';
import { openPart, writePart, type OpenPart } from './part-file.ts';
import { MAX_SUMS_BYTES, putPlan, putSums, type PartPlan } from './part-plan.ts';
import type { AggregationPart, PartQueue } from './part-queue.ts';
import { partKey } from './part-table.ts';
import { whileRenewed } from './while-renewed.ts';

/** How long parts wait for somebody to take them, before this process computes what nobody has, in ms. */
const GRACE_MS = 3000;
/** Where nobody took any, nobody is asked again for so long, in ms. */
const ALONE_MS = 60_000;

/** With whom parts are shared, and which. */
export interface PartSharingOptions {
  readonly queue: PartQueue;
  /** Names this process. */
  readonly holder: string;
  /** The most parts that a pass is cut into. */
  readonly maxParts: number;
  /** Passes that read fewer bytes are computed here: to share them out takes longer. */
  readonly minBytes: number;
  readonly clock: Clock;
  readonly blobs: EngineBlobs;
  readonly ledger: Pick<Ledger, 'run'>;
  /** Room for parts that are computed here. */
  readonly scratchDirectory: string;
  readonly log: FederationLog;
}

/** One aggregation whose passes may be shared. */
export interface SharedAggregation extends Pick<PartPlan, 'norms' | 'damaged'> {
  readonly state: RunState;
  readonly signal: AbortSignal;
}

/**
 * The side of an aggregation that offers parts and puts them together. Who takes none is not waited for: after a moment this process
 * computes what nobody has, and everything where nobody is there. So it ends whatever becomes of the others, with the same bytes.
 */
export class PartSharing {
  readonly #options: PartSharingOptions;
  #aloneUntil = -Infinity;

  constructor(options: PartSharingOptions) {
    this.#options = options;
  }

  /** What shares the passes of one aggregation. */
  of(aggregation: SharedAggregation): PassSharing {
    let position: number | null | undefined;
    const earlier: PartPlan['earlier'] = [];
    const { ledger, blobs, minBytes, clock } = this.#options;
    return {
      share: async (pass) => {
        const sumsBytes = 8 * pass.blocks * pass.sumsPerBlock;
        if (pass.bytesRead < minBytes || pass.blocks < 2 || sumsBytes > MAX_SUMS_BYTES || clock.now() < this.#aloneUntil) return null;
        if (position === undefined) {
          // Others read the history up to where this aggregation began; one that has moved on meanwhile is not described by it.
          const run = await ledger.run(aggregation.state.runId);
          position = run?.state === aggregation.state ? run.length : null;
        }
        if (position === null) return null;
        for (const sums of pass.earlier.slice(earlier.length)) earlier.push(await putSums(blobs, sums));
        const { index, sumsPerBlock } = pass;
        const { norms, damaged, state } = aggregation;
        const plan = await putPlan(blobs, { runId: state.runId, position, pass: index, sumsPerBlock, damaged, norms, earlier: [...earlier] });
        return this.#share(pass, cut(pass.blocks, this.#options.maxParts).map((range) => ({ plan, ...range })), aggregation);
      },
    };
  }

  async #share(pass: SharedPass, parts: readonly AggregationPart[], { signal, state }: SharedAggregation): Promise<AsyncIterable<PassPart> | null> {
    const { queue, clock, log } = this.#options;
    const { plan } = parts[0]!;
    const over = new AbortController();
    try {
      await queue.offer(parts);
      const grace = pause(clock, GRACE_MS, AbortSignal.any([signal, over.signal]));
      const begun = queue.begun(plan, AbortSignal.any([signal, over.signal]));
      const isBegun = await Promise.race([begun, grace.then(() => null)]);
      over.abort();
      if (isBegun === true) return this.#assembled(pass, parts, signal);
      if (!signal.aborted) {
        this.#aloneUntil = clock.now() + ALONE_MS;
        log.info('nobody takes parts of the aggregation: it is done here', { round: state.rounds.at(-1)!.round });
      }
    } catch (error) {
      if (!isTrouble(error)) throw error;
      log.warn(`the aggregation is done here: ${errorMessage(error)}`, { error });
    }
    over.abort();
    await this.#withdraw(parts);
    return null;
  }

  async *#assembled(pass: SharedPass, parts: readonly AggregationPart[], signal: AbortSignal): AsyncGenerator<PassPart> {
    const ended = new AbortController();
    const either = AbortSignal.any([signal, ended.signal]);
    const here = new PartsHere(pass, this.#options, either);
    const helping = this.#help(parts, here, either);
    try {
      for (const part of parts) {
        const opened = await this.#opened(pass, part, here, either);
        try {
          yield opened;
        } finally {
          await opened.close();
        }
      }
    } finally {
      ended.abort();
      await helping;
      await here.close();
      await this.#withdraw(parts);
    }
  }

  /** After a moment, computes here what nobody has, or what whoever had it lets lie. */
  async #help(parts: readonly AggregationPart[], here: PartsHere, signal: AbortSignal): Promise<void> {
    const { queue, clock, holder } = this.#options;
    if (!(await pause(clock, GRACE_MS, signal))) return;
    try {
      for (;;) {
        const taken = await queue.take(holder, signal, parts[0]!.plan);
        if (taken === null) return;
        await whileRenewed(taken, clock, queue.intervalMs, signal, () => here.compute(taken.part));
      }
    } catch {
      // Whoever waits for the part is told, or computes it.
    }
  }

  /** A part as soon as somebody has computed it; here where nobody else can. */
  async #opened(pass: SharedPass, part: AggregationPart, here: PartsHere, signal: AbortSignal): Promise<OpenPart> {
    const { queue, blobs, log } = this.#options;
    const blocks = part.to - part.from;
    const result = await Promise.race([queue.result(part, signal), here.announced(part)]);
    if (signal.aborted) throw new CancelledError('aggregation', { cause: signal.reason });
    if (result !== null && typeof result === 'object') {
      try {
        return await openPart(await blobs.verifiedFile(result), blocks, pass.sumsPerBlock);
      } catch (error) {
        if (!isTrouble(error)) throw error;
        log.warn(`a part of the aggregation is computed again: ${errorMessage(error)}`, { error });
      }
    }
    return openPart(await here.compute(part), blocks, pass.sumsPerBlock);
  }

  async #withdraw(parts: readonly AggregationPart[]): Promise<void> {
    try {
      await this.#options.queue.withdraw(parts[0]!.plan);
    } catch (error) {
      // Whoever offers next replaces them.
      this.#options.log.debug(`parts cannot be withdrawn at the moment: ${errorMessage(error)}`);
    }
  }
}

/** Parts that this process computes itself, one after the other and each once. */
class PartsHere {
  readonly #pass: SharedPass;
  readonly #directory: string;
  readonly #signal: AbortSignal;
  readonly #computed = new Map<string, Promise<string>>();
  readonly #announced = new Map<string, PromiseWithResolvers<null>>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(pass: SharedPass, { scratchDirectory }: PartSharingOptions, signal: AbortSignal) {
    this.#pass = pass;
    this.#directory = scratchDirectory;
    this.#signal = signal;
  }

  /** Resolves when this process has computed a part, or has found that it cannot: {@link compute} says which. */
  announced(part: AggregationPart): Promise<null> {
    return this.#announcement(part).promise;
  }

  /** Computes a part. @returns the path of its file */
  compute(part: AggregationPart): Promise<string> {
    const key = partKey(part);
    const known = this.#computed.get(key);
    if (known !== undefined) return known;
    const path = join(this.#directory, `part-${randomUUID()}`);
    const computed = this.#last.then(async () => {
      this.#signal.throwIfAborted();
      await writePart(path, (write) => this.#pass.compute(part.from, part.to, write));
      return path;
    });
    this.#computed.set(key, computed);
    this.#last = computed.catch(() => undefined).then(() => { this.#announcement(part).resolve(null); });
    return computed;
  }

  async close(): Promise<void> {
    for (const path of await Promise.allSettled(this.#computed.values())) if (path.status === 'fulfilled') await rm(path.value, { force: true });
  }

  #announcement(part: AggregationPart): PromiseWithResolvers<null> {
    const key = partKey(part);
    const known = this.#announced.get(key) ?? Promise.withResolvers<null>();
    this.#announced.set(key, known);
    return known;
  }
}

/** What other processes, or the way to them, have to do with: this one goes on alone. */
function isTrouble(error: unknown): boolean {
  return error instanceof StorageError || (error instanceof FederationError && error.code === 'PART_UNREADABLE');
}

/** So many ranges of blocks, as alike as can be. */
function cut(blocks: number, parts: number): { readonly from: number; readonly to: number }[] {
  const count = Math.max(1, Math.min(parts, blocks));
  return Array.from({ length: count }, (_, index) => ({ from: Math.floor((index * blocks) / count), to: Math.floor(((index + 1) * blocks) / count) }));
}
