import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { errorMessage } from '@zk0/core';
import { writeFileAtomic } from '@zk0/storage';
import * as z from 'zod';
import type { TrackerAddress } from './address.ts';
import { TrackerError } from './errors.ts';
import { hasFigures, trackerLineSchema, type NumberedLine, type TrackerLine } from './lines.ts';

/** Most that is kept of one run for one tracker: rounds of thousands of clients, or thousands of rounds of some. */
export const MAX_SPOOL_BYTES = 64 << 20;
/** Read and sent at a time. */
const BATCH_BYTES = 256 << 10;

const stateSchema = z.strictObject({
  /** Of the tracker, as {@link TrackerAddress.text}. */
  address: z.string(),
  /** Lines that the tracker has, and where in the file the next one begins. */
  sent: z.int().min(0),
  offset: z.int().min(0),
  /** Lines that the tracker refused. */
  refused: z.int().min(0),
  /** What the service calls the run. */
  remote: z.record(z.string(), z.string()),
});
type SpoolState = z.infer<typeof stateSchema>;

/** A batch of lines that are to be sent, and where the next begins. */
export interface SpoolBatch {
  readonly lines: readonly NumberedLine[];
  /** Offset after each line. */
  readonly ends: readonly number[];
}

/** Lines for one tracker that are kept in a file until the tracker has them. */
export class TrackerSpool {
  readonly address: TrackerAddress;
  readonly #maxBytes: number;
  readonly #file: string;
  readonly #stateFile: string;
  #state: SpoolState;
  #bytes: number;
  #count: number;
  #lastStep: number;
  #hasEnd: boolean;
  readonly #successes: Set<number>;
  #dropped = 0;

  /**
   * Opens what is kept for a tracker in a folder, which is made.
   *
   * @param maxBytes most that is kept; further figures are dropped, the end of the run is not
   * @throws TrackerError `TRACKER_SPOOL_UNUSABLE`
   */
  constructor(directory: string, address: TrackerAddress, maxBytes = MAX_SPOOL_BYTES) {
    this.address = address;
    this.#maxBytes = maxBytes;
    const name = `${address.service}-${createHash('sha256').update(address.text).digest('hex').slice(0, 8)}`;
    this.#file = join(directory, `${name}.jsonl`);
    this.#stateFile = join(directory, `${name}.json`);
    try {
      mkdirSync(directory, { recursive: true });
      const text = existsSync(this.#file) ? readFileSync(this.#file, 'utf8') : '';
      // A crash may have torn the last line.
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      this.#bytes = Buffer.byteLength(whole);
      if (whole.length < text.length) truncateSync(this.#file, this.#bytes);
      const lines = whole.split('\n').slice(0, -1).map((line) => trackerLineSchema.parse(JSON.parse(line)));
      this.#count = lines.length;
      this.#lastStep = lines.reduce((last, line) => (line.kind === 'metrics' ? Math.max(last, line.step) : last), -1);
      this.#hasEnd = lines.findLast(({ kind }) => kind !== 'success')?.kind === 'end';
      this.#successes = new Set(lines.flatMap((line) => (line.kind === 'success' ? [line.step] : [])));
      const isNew = !existsSync(this.#stateFile);
      this.#state = isNew ? { address: address.text, sent: 0, offset: 0, refused: 0, remote: {} } : stateSchema.parse(JSON.parse(readFileSync(this.#stateFile, 'utf8')));
      // Who opens the folder later finds in it where the lines belong.
      if (isNew) writeFileSync(this.#stateFile, JSON.stringify(this.#state));
    } catch (error) {
      throw new TrackerError('TRACKER_SPOOL_UNUSABLE', `${this.#file} cannot be used: ${errorMessage(error)}`, { cause: error, hint: 'Move the folder away; the run’s own files have everything.' });
    }
  }

  /** The newest step that was added; -1 for none. */
  get lastStep(): number {
    return this.#lastStep;
  }
  get isEmpty(): boolean {
    return this.#count === 0;
  }
  get hasEnd(): boolean {
    return this.#hasEnd;
  }
  /** Whether it was added how often the policy of a step did its task. */
  hasSuccess(step: number): boolean {
    return this.#successes.has(step);
  }
  /** Lines that the tracker does not have yet. */
  get unsent(): number {
    return this.#count - this.#state.sent;
  }
  /** Lines that were dropped because the file is full. */
  get dropped(): number {
    return this.#dropped;
  }
  get remote(): Readonly<Record<string, string>> {
    return this.#state.remote;
  }

  /**
   * Keeps a line; it is on disk before this returns.
   *
   * @returns whether there was room for it
   * @throws the file system's error when it cannot be written
   */
  add(line: TrackerLine): boolean {
    const text = `${JSON.stringify(line)}\n`;
    const bytes = Buffer.byteLength(text);
    if (hasFigures(line) && this.#bytes + bytes > this.#maxBytes) {
      this.#dropped++;
      return false;
    }
    appendFileSync(this.#file, text);
    this.#bytes += bytes;
    this.#count++;
    if (line.kind === 'metrics') this.#lastStep = Math.max(this.#lastStep, line.step);
    if (line.kind === 'success') this.#successes.add(line.step);
    else this.#hasEnd = line.kind === 'end';
    return true;
  }

  /** The next lines that the tracker does not have. */
  async batch(): Promise<SpoolBatch> {
    const { offset, sent } = this.#state;
    if (this.unsent === 0) return { lines: [], ends: [] };
    const handle = await open(this.#file, 'r');
    try {
      let size = Math.min(BATCH_BYTES, this.#bytes - offset);
      for (;;) {
        const buffer = Buffer.alloc(size);
        const { bytesRead } = await handle.read(buffer, 0, size, offset);
        const last = buffer.subarray(0, bytesRead).lastIndexOf(0x0a);
        if (last >= 0) return batchOf(buffer.subarray(0, last + 1), offset, sent);
        // One line that is longer than a batch.
        size = Math.min(2 * size, this.#bytes - offset);
      }
    } finally {
      await handle.close();
    }
  }

  /** Notes that the tracker has the lines up to `end`, or has refused them. */
  async advance(lines: number, end: number, remote: Readonly<Record<string, string>>, refused = 0): Promise<void> {
    const { sent, refused: before } = this.#state;
    this.#state = { ...this.#state, sent: sent + lines, offset: end, remote: { ...remote }, refused: before + refused };
    await writeFileAtomic(this.#stateFile, `${JSON.stringify(this.#state, null, 2)}\n`);
  }
}

/** Addresses of the trackers that a folder holds lines for, as {@link TrackerAddress.text}; none where there is no folder. */
export function keptAddresses(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => /^(?:mlflow|trackio|wandb)-[0-9a-f]{8}\.json$/.test(name))
    .sort()
    .flatMap((name) => {
      try {
        return [stateSchema.parse(JSON.parse(readFileSync(join(directory, name), 'utf8'))).address];
      } catch {
        return [];
      }
    });
}

function batchOf(bytes: Buffer, offset: number, sent: number): SpoolBatch {
  const lines: NumberedLine[] = [];
  const ends: number[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0x0a, start) + 1;
    lines.push({ number: sent + lines.length, line: trackerLineSchema.parse(JSON.parse(bytes.toString('utf8', start, end - 1))) });
    ends.push(offset + end);
    start = end;
  }
  return { lines, ends };
}
