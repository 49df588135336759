import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { CancelledError, elementCount, encodeFloat16, originsOf, type WorkHooks } from '@zk0/core';
import { PolicyError } from '../errors.ts';
import { weightSpecs } from '../model/weights.ts';
import type { ModelRuntime } from '../runtime/model-runtime.ts';
import { PrefixEncoder, type FrameView, type PrefixBatch } from '../runtime/prefix-encoder.ts';
import type { DatasetBinding } from '../training/dataset-binding.ts';
import { recordFileBytes, RecordFile, roomFor, type RecordLayout } from './record-file.ts';

/** How far the frozen part of a frame has been computed: image tokens, or keys and values of every layer. */
export type CacheTier = 'vision' | 'prefix';

/** Raised whenever the same key would give other bytes: another graph, preprocessing or record layout. */
const FORMAT = 2;
/** Frames encoded in one run while the cache is filled. */
const FILL_BATCH = 4;

/** Models of fewer values keep their encoders open between fills: short rounds would otherwise open them again for a few frames each. */
const SMALL_MODEL = 20e6;

/** The records of one origin of a dataset's frames. */
interface StorePart {
  /** The first frame that has the origin's first record. */
  readonly from: number;
  readonly name: string;
  readonly layout: RecordLayout;
  file: Promise<RecordFile> | undefined;
}

/** Where a frame's record lies. */
interface RecordPlace {
  readonly part: StorePart;
  readonly index: number;
}

/**
 * One tier of one dataset under one policy, on disk: a file for each origin of its frames, which whoever opens the origin by itself
 * finds again.
 */
export class FrameStore {
  readonly tier: CacheTier;
  readonly #binding: DatasetBinding;
  /** Of its own: a large model's encoders take gigabytes, and once the cache is filled nobody needs them. */
  readonly #runtime: ModelRuntime;
  readonly #encoder: PrefixEncoder;
  readonly #keepsEncoders: boolean;
  readonly #directory: string;
  readonly #parts = new Map<string, StorePart>();
  /** Where runs of frames begin, ascending, and their records. */
  readonly #starts: readonly { readonly from: number; readonly part: StorePart }[];
  /** First frames of the records that were seen to be there. */
  readonly #present = new Set<number>();

  constructor(tier: CacheTier, binding: DatasetBinding, runtime: ModelRuntime, options: { cacheDirectory: string; baseHash: string }) {
    this.tier = tier;
    this.#binding = binding;
    const { datasetKeys, emptySlots } = binding.cameras;
    this.#runtime = runtime.fork();
    this.#keepsEncoders = weightSpecs(runtime.config).reduce((sum, { shape }) => sum + elementCount(shape), 0) < SMALL_MODEL;
    this.#encoder = new PrefixEncoder(this.#runtime, {
      batch: FILL_BATCH,
      cameras: datasetKeys.length,
      emptyCameras: emptySlots,
      languageTokens: binding.languageTokens,
      actionSize: 1,
    });
    this.#directory = join(options.cacheDirectory, 'frames');
    const key = {
      format: FORMAT,
      tier,
      base: options.baseHash,
      // Products of 16 bits give other numbers than those of 32, and one device other last bits than another.
      precision: runtime.precision,
      device: runtime.device,
      cameras: datasetKeys,
      // Image tokens do not depend on what stands behind them.
      ...(tier === 'prefix' ? { emptySlots, languageTokens: binding.languageTokens } : {}),
    };
    this.#starts = originsOf(binding.dataset.info).map(({ from, contentHash, frameCount }) => ({
      from,
      part: this.#part(from, { key: { ...key, dataset: contentHash }, count: frameCount, recordBytes: this.#recordBytes }),
    }));
  }

  /** Disk that it takes when every frame is there. */
  get byteLength(): number {
    return [...this.#parts.values()].reduce((sum, { layout }) => sum + recordFileBytes(layout), 0);
  }

  /** Disk that it may take: what is free, and what it has already. */
  room(): Promise<number> {
    return roomFor(this.#directory, [...this.#parts.keys()]);
  }

  /**
   * Computes and writes the frames that are not there yet, in the order of the recording; those that cannot be read are noted.
   *
   * @throws PolicyError CACHE_FULL, CACHE_UNUSABLE, CORRUPT_FRAMES; CancelledError between runs: what was written stays.
   */
  async fill(frames: readonly number[], { onProgress, signal }: WorkHooks): Promise<void> {
    const missing: number[] = [];
    const places = new Map(frames.map((frame) => this.#place(frame)).map((place) => [place.part.from + place.index, place]));
    for (const [frame, { part, index }] of [...places].sort(([a], [b]) => a - b)) {
      if (this.#present.has(frame) || this.#binding.unreadable.has(frame)) continue;
      if (await (await this.#open(part)).isMarked(index)) this.#present.add(frame);
      else missing.push(frame);
    }
    const totalSteps = missing.length;
    try {
      for (let done = 0; done < totalSteps; done += FILL_BATCH) {
        if (signal?.aborted === true) throw new CancelledError('caching', { cause: signal.reason });
        const batch = missing.slice(done, done + FILL_BATCH);
        await this.#compute(batch);
        onProgress?.({ phase: 'caching', step: done + batch.length, totalSteps });
      }
    } finally {
      if (!this.#keepsEncoders) await this.#runtime.free();
    }
  }

  /**
   * The records of frames, each valid until the next is asked for; computed again when the one on disk is absent or damaged. Null,
   * and the end, where a frame cannot be read.
   */
  async *records(frames: readonly number[]): AsyncGenerator<Uint8Array | null> {
    let scratch: Uint8Array | undefined;
    for (const frame of frames) {
      const { part, index } = this.#place(frame);
      const file = await this.#open(part);
      scratch ??= file.scratch();
      const record = (await file.read(index, scratch)) ?? (await this.#compute([frame]))[0] ?? null;
      yield record;
      if (record === null) return;
    }
  }

  async close(): Promise<void> {
    await this.#runtime.close();
    for (const part of this.#parts.values()) {
      const { file } = part;
      part.file = undefined;
      await (await file)?.close();
    }
  }

  get #recordBytes(): number {
    const cameras = this.#binding.cameras.datasetKeys.length;
    if (this.tier === 'vision') return 2 * cameras * this.#encoder.imageTokenValues;
    return 4 * this.#encoder.prefixValues + this.#encoder.prefixTokens;
  }

  /** The part with a layout: origins that occur several times share one. */
  #part(from: number, layout: RecordLayout): StorePart {
    const name = `${this.tier}-${createHash('sha256').update(JSON.stringify(layout)).digest('hex').slice(0, 32)}.records`;
    const part = this.#parts.get(name) ?? { from, name, layout, file: undefined };
    this.#parts.set(name, part);
    return part;
  }

  #place(frame: number): RecordPlace {
    const { from, part } = this.#starts.findLast((start) => start.from <= frame)!;
    return { part, index: frame - from };
  }

  #open(part: StorePart): Promise<RecordFile> {
    part.file ??= RecordFile.open(join(this.#directory, part.name), part.layout);
    part.file.catch(() => (part.file = undefined));
    return part.file;
  }

  /** Computes up to {@link FILL_BATCH} frames and writes them: the records of those that can be read. */
  async #compute(wanted: readonly number[]): Promise<Uint8Array[]> {
    const views: FrameView[] = [];
    const frames: number[] = [];
    for (const [i, view] of (await this.#binding.views(wanted)).entries()) {
      if (view === null) continue;
      views.push(view);
      frames.push(wanted[i]!);
    }
    if (views.length === 0) return [];
    while (views.length < FILL_BATCH) views.push(views.at(-1)!);
    const records = this.tier === 'vision' ? await this.#visionRecords(views) : await this.#prefixRecords(views);
    for (const [row, frame] of frames.entries()) {
      this.#checkFinite(records[row]!, frame);
      const { part, index } = this.#place(frame);
      await (await this.#open(part)).write(index, records[row]!);
      this.#present.add(part.from + index);
    }
    return records.slice(0, frames.length);
  }

  async #visionRecords(views: readonly FrameView[]): Promise<Uint8Array[]> {
    const tokens = await this.#encoder.imageTokens(views.map(({ images }) => images));
    const size = tokens.length / views.length;
    return views.map((_, row) => bytesOf(encodeFloat16(tokens.subarray(row * size, (row + 1) * size), new Uint16Array(size))));
  }

  async #prefixRecords(views: readonly FrameView[]): Promise<Uint8Array[]> {
    const { prefixKeys, prefixValues, prefixMask } = await this.#encoder.encode(views);
    const size = this.#encoder.prefixValues;
    const tokens = this.#encoder.prefixTokens;
    return views.map((_, row) => {
      const record = new Uint8Array(this.#recordBytes);
      const halves = new Uint16Array(record.buffer, 0, 2 * size);
      [prefixKeys, prefixValues].forEach(({ data }, part) => {
        const values = (data as Float32Array).subarray(row * size, (row + 1) * size);
        encodeFloat16(values, halves.subarray(part * size, (part + 1) * size));
      });
      record.set((prefixMask.data as Uint8Array).subarray(row * tokens, (row + 1) * tokens), 4 * size);
      return record;
    });
  }

  /** What float16 cannot hold must not reach training unseen. */
  #checkFinite(record: Uint8Array, frame: number): void {
    const values = this.tier === 'vision' ? record.byteLength / 2 : 2 * this.#encoder.prefixValues;
    const halves = new Uint16Array(record.buffer, record.byteOffset, values);
    if (halves.every((half) => (half & 0x7c00) !== 0x7c00)) return;
    throw new PolicyError('NOT_FINITE', `the frozen part of frame ${frame} of ${this.#binding.dataset.info.name} does not fit float16`, {
      hint: 'Use --cache off.',
    });
  }
}

/** Views of a prefix record's parts. */
export function splitPrefixRecord(record: Uint8Array, values: number): Record<keyof PrefixBatch, Uint8Array> {
  return {
    prefixKeys: record.subarray(0, 2 * values),
    prefixValues: record.subarray(2 * values, 4 * values),
    prefixMask: record.subarray(4 * values),
  };
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint16Array): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}
