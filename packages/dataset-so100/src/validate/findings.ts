import { DatasetError, type DatasetErrorCode } from '../errors.ts';
import type { MotionCode } from '../motion/thresholds.ts';

/**
 * What a check can find besides what stops a dataset from being opened.
 *
 * - `COUNTS`: totals of `info.json` and what is there disagree.
 * - `EPISODE_GAPS`: episode numbers are missing between the first and the last.
 * - `DOUBLED_FRAMES`: rows are listed twice or out of order, and are read once, in order.
 * - `MOVED_ROWS`: rows are in another data file than `meta/` names, or carry another number than their file.
 * - `DUPLICATE_EPISODE`: two episodes hold the same states and actions.
 * - `OVERLAP`: an episode is in another of the datasets too.
 * - `TIMESTAMPS`: recorded times run backwards, or stray from the frame rate.
 * - `FRAME_RATE`: recorded times advance at another rate than `info.json` says.
 * - `STATISTICS`: the statistics under `meta/` are not those of the rows, or are missing.
 * - `SPREAD`: a spread under `meta/` is zero, infinite or NaN, though the values differ.
 * - `CONSTANT_FEATURE`: a joint never moves.
 * - `UNITS`: what the joints' values mean cannot be inferred.
 * - `LEADER_OFFSET`: leader and follower of a joint are calibrated apart.
 * - `TASK`: a task's text or number is empty, doubled, unused or not that of its episode.
 * - `CAMERA_SIZE`: `info.json` and the videos disagree on the size of the images.
 * - `BLACK_CAMERA`, `FROZEN_CAMERA`: a camera saw nothing, or always the same, in an episode.
 * - those of {@link MotionCode}: how an episode moves and what its cameras see of it.
 * - `BLANK_CAMERA`: a camera saw white, or one colour, in an episode.
 * - `SCHEMA`: data files have other columns or types than `info.json` declares, or than each other.
 * - `INDEX`: rows are not numbered through.
 * - `FEW_EPISODES`, `TASK_IMBALANCE`, `SHORT_FOR_CHUNK`, `LOW_DIVERSITY`, `SHIFT`, `STATIC_VALUE`: what the episodes are together.
 * - `UNUSED_FILE`: a file under data/ or videos/ belongs to no episode.
 * - `QUIRK`: something unusual that is read all the same.
 */
export type FindingCode =
  | DatasetErrorCode
  | MotionCode
  | 'COUNTS'
  | 'EPISODE_GAPS'
  | 'DOUBLED_FRAMES'
  | 'MOVED_ROWS'
  | 'DUPLICATE_EPISODE'
  | 'OVERLAP'
  | 'TIMESTAMPS'
  | 'FRAME_RATE'
  | 'STATISTICS'
  | 'SPREAD'
  | 'CONSTANT_FEATURE'
  | 'UNITS'
  | 'LEADER_OFFSET'
  | 'TASK'
  | 'CAMERA_SIZE'
  | 'BLACK_CAMERA'
  | 'FROZEN_CAMERA'
  | 'BLANK_CAMERA'
  | 'SCHEMA'
  | 'INDEX'
  | 'FEW_EPISODES'
  | 'TASK_IMBALANCE'
  | 'SHORT_FOR_CHUNK'
  | 'LOW_DIVERSITY'
  | 'SHIFT'
  | 'STATIC_VALUE'
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
  /** Frame of the episode, from 0. */
  readonly frame?: number;
  /** Address of the dataset that has the episode too, for `OVERLAP`. */
  readonly other?: string;
}

export type Severity = Finding['severity'];

/** How often each code was found, by severity. */
export type FindingCounts = Readonly<Record<Severity, Readonly<Partial<Record<FindingCode, number>>>>>;

/** Most findings of one severity and code that are kept: a damaged dataset repeats itself. */
const MAX_LISTED = 50;

/** Gathers findings, bounded; counts them all. */
export class Findings {
  readonly list: Finding[] = [];
  readonly counts: Readonly<Record<Severity, Partial<Record<FindingCode, number>>>> = { error: {}, warning: {}, info: {} };

  get hasErrors(): boolean {
    return Object.keys(this.counts.error).length > 0;
  }

  add(severity: Severity, code: FindingCode, message: string, where: Partial<Finding> = {}): void {
    const count = (this.counts[severity][code] ?? 0) + 1;
    this.counts[severity][code] = count;
    if (count <= MAX_LISTED) this.list.push({ ...where, severity, code, message });
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
