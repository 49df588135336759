import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '@zk0/cli';
import { errorMessage, Zk0Error } from '@zk0/core';
import * as z from 'zod';
import type { SweepRun } from './plan-sweep.ts';

const runSchema = z.strictObject({
  name: z.string().regex(/^[\w.=-]+$/).refine((name) => !/^\.+$/.test(name)),
  varied: z.record(z.string(), z.json()),
  state: z.enum(['started', 'finished', 'failed']),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().optional(),
  /** Release that ran it. */
  version: z.string(),
  /** Why it failed. */
  message: z.string().optional(),
});
/** What a sweep knows of a run that it has started. */
export type RecordedRun = z.infer<typeof runSchema>;

const recordSchema = z.strictObject({
  form: z.literal(1),
  /** Threads of a client where the file leaves them out: fixed when the sweep begins, so that going on computes the same. */
  threads: z.int().min(1),
  /** Runs by their ids; those that a changed file no longer has stay. */
  runs: z.record(z.string(), runSchema),
});

/** What a sweep has done so far, in `sweep.json` of its folder: what a killed one goes on with. */
export class SweepRecord {
  readonly path: string;
  readonly threads: number;
  /** Whether the sweep was begun before. */
  readonly isOld: boolean;
  readonly #runs: Map<string, RecordedRun>;

  private constructor(path: string, threads: number, runs: ReadonlyMap<string, RecordedRun>, isOld: boolean) {
    this.path = path;
    this.threads = threads;
    this.isOld = isOld;
    this.#runs = new Map(runs);
  }

  /**
   * Takes up what is in a sweep's folder; without a sweep in it, it must be empty or not there.
   *
   * @param threads of a sweep that begins now
   * @throws Zk0Error `OUTPUT_IN_USE` for a folder with other files, `SWEEP_UNREADABLE`
   */
  static open(directory: string, threads: number): SweepRecord {
    const path = join(directory, 'sweep.json');
    if (!existsSync(path)) {
      const used = existsSync(directory) && readdirSync(directory).length > 0;
      if (used) throw new Zk0Error('OUTPUT_IN_USE', `${directory} holds files that are not of a sweep`, { hint: 'Choose another folder with --out.' });
      return new SweepRecord(path, threads, new Map(), false);
    }
    try {
      const record = recordSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
      return new SweepRecord(path, record.threads, new Map(Object.entries(record.runs)), true);
    } catch (error) {
      const why = error instanceof z.ZodError ? 'it does not have the form that zk0 writes' : errorMessage(error);
      throw new Zk0Error('SWEEP_UNREADABLE', `${path} cannot be used: ${why}`, { cause: error, hint: 'Restore it, or start the sweep in another folder with --out.' });
    }
  }

  of({ id }: Pick<SweepRun, 'id'>): RecordedRun | undefined {
    return this.#runs.get(id);
  }

  /** Runs that are kept and that the file no longer has. */
  beyond(runs: readonly SweepRun[]): RecordedRun[] {
    const known = new Set(runs.map(({ id }) => id));
    return [...this.#runs].flatMap(([id, run]) => (known.has(id) ? [] : [run]));
  }

  /** Notes what became of a run, on disk before it returns. */
  note({ id }: Pick<SweepRun, 'id'>, run: RecordedRun): void {
    this.#runs.set(id, run);
    replaceFile(this.path, `${JSON.stringify({ form: 1, threads: this.threads, runs: Object.fromEntries(this.#runs) }, null, 2)}\n`);
  }
}
