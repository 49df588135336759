import { DatasetError, type DatasetErrorCode } from '../errors.ts';

/**
 * What a check can find besides what stops a dataset from being opened.
 *
 * - `COUNTS`: totals of `info.json` and what is there disagree.
 * - `EPISODE_GAPS`: episode numbers are missing between the first and the last.
 * - `DOUBLED_FRAMES`: rows are listed twice or out of order, and are read once, in order.
 * - `DUPLICATE_EPISODE`: two episodes hold the same states and actions.
 * - `TIMESTAMPS`: recorded times run backwards, or stray from the frame rate.
 * - `STATISTICS`: the statistics under `meta/` are not those of the rows, or are missing.
 * - `CONSTANT_FEATURE`: a joint never moves.
 * - `CAMERA_SIZE`: `info.json` and the videos disagree on the size of the images.
 * - `BLACK_CAMERA`, `FROZEN_CAMERA`: a camera saw nothing, or always the same, in an episode.
 * - `UNUSED_FILE`: a data or video file belongs to no episode.
 * - `QUIRK`: something unusual that is read all the same.
 */
export type FindingCode =
  | DatasetErrorCode
  | 'COUNTS'
  | 'EPISODE_GAPS'
  | 'DOUBLED_FRAMES'
  | 'DUPLICATE_EPISODE'
  | 'TIMESTAMPS'
  | 'STATISTICS'
  | 'CONSTANT_FEATURE'
  | 'CAMERA_SIZE'
  | 'BLACK_CAMERA'
  | 'FROZEN_CAMERA'
  | 'UNUSED_FILE'
  | 'QUIRK';

/** One thing that a check found. An `error` stops the dataset, or the episode named, from being used. */
export interface Finding {
  readonly severity: 'error' | 'warning' | 'info';
  readonly code: FindingCode;
  readonly message: string;
  readonly file?: string;
  /** Row of the file, from 0. */
  readonly row?: number;
  /** Recorded episode number. */
  readonly episode?: number;
  readonly camera?: string;
}

/** Most findings of one kind that are kept: a damaged dataset repeats itself. */
const MAX_PER_CODE = 50;

/** Gathers findings, bounded. */
export class Findings {
  readonly list: Finding[] = [];
  readonly #counts = new Map<FindingCode, number>();
  #hasErrors = false;

  get hasErrors(): boolean {
    return this.#hasErrors;
  }

  add(severity: Finding['severity'], code: FindingCode, message: string, where: Partial<Finding> = {}): void {
    const count = (this.#counts.get(code) ?? 0) + 1;
    this.#counts.set(code, count);
    if (severity === 'error') this.#hasErrors = true;
    if (count <= MAX_PER_CODE) this.list.push({ ...where, severity, code, message });
    else if (count === MAX_PER_CODE + 1) this.list.push({ severity, code, message: `More findings of this kind follow.` });
  }

  /** Records a DatasetError as an `error`; anything else is thrown on. */
  addError(error: unknown): void {
    if (!(error instanceof DatasetError)) throw error;
    const { code, message, file, row, episode } = error;
    this.add('error', code, message, {
      ...(file === undefined ? {} : { file }),
      ...(row === undefined ? {} : { row }),
      ...(episode === undefined ? {} : { episode }),
    });
  }
}
