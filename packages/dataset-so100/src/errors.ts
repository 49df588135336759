// Not all of core: the thread that reads tables starts in half the time without its schemas.
import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core/errors';

/**
 * What is wrong with a dataset, or with what was asked of it.
 *
 * - `DATASET_URI`: the address cannot be understood.
 * - `DATASET_NOT_FOUND`: nothing is there.
 * - `DATASET_NOT_LEROBOT`: something is there, but it is no LeRobot dataset.
 * - `DATASET_VERSION`: a LeRobot format version that is not read.
 * - `DATASET_METADATA`: a file under `meta/` is malformed or contradicts another.
 * - `DATASET_PATH`: a path that a dataset claims leaves the dataset's folder.
 * - `DATASET_LIMIT`: a claimed size is beyond what is read (the limits are in `limits.ts`).
 * - `DATASET_FILE_MISSING`, `DATASET_FILE_DAMAGED`: a data or video file is absent, or cannot be read.
 * - `DATASET_FILE_POINTER`: a pointer of git-lfs or git-annex stands in place of a file.
 * - `DATASET_COMPRESSION`: a data file is compressed in a way that is not read.
 * - `DATASET_ROWS`: rows are missing, doubled, out of order, of the wrong shape, or not finite.
 * - `DATASET_VIDEO`: a video does not hold the frames that its rows claim.
 * - `DATASET_FRAME`: a frame could not be found or decoded.
 * - `DATASET_NO_CAMERAS`: images are needed and there are none.
 * - `DATASET_CAMERA_UNKNOWN`: a camera was named that the dataset does not have.
 * - `DATASET_EPISODES`: episodes were asked for that do not exist, or too few are there to split.
 * - `DATASET_NO_DECODER`: no way to decode video on this machine.
 * - `DATASET_CLOSED`: the dataset was closed.
 * - `DATASET_CORRUPT_BUDGET`: more frames could not be decoded than were allowed for.
 * - `DATASET_UNLIKE`: several datasets cannot be read, or merged, as one.
 * - `DATASET_TASK`: a task cannot be given the text that was asked for.
 * - `DATASET_VIDEO_CUT`: episodes cannot be copied out of a video without the others in it.
 * - `DATASET_OVERLAP`: an episode would be in two places.
 */
export type DatasetErrorCode =
  | 'DATASET_URI'
  | 'DATASET_NOT_FOUND'
  | 'DATASET_NOT_LEROBOT'
  | 'DATASET_VERSION'
  | 'DATASET_METADATA'
  | 'DATASET_PATH'
  | 'DATASET_LIMIT'
  | 'DATASET_FILE_MISSING'
  | 'DATASET_FILE_DAMAGED'
  | 'DATASET_FILE_POINTER'
  | 'DATASET_COMPRESSION'
  | 'DATASET_ROWS'
  | 'DATASET_VIDEO'
  | 'DATASET_FRAME'
  | 'DATASET_NO_CAMERAS'
  | 'DATASET_CAMERA_UNKNOWN'
  | 'DATASET_EPISODES'
  | 'DATASET_NO_DECODER'
  | 'DATASET_CLOSED'
  | 'DATASET_CORRUPT_BUDGET'
  | 'DATASET_UNLIKE'
  | 'DATASET_TASK'
  | 'DATASET_VIDEO_CUT'
  | 'DATASET_OVERLAP';

/** Where in a dataset an error happened. */
export interface DatasetErrorOptions extends Zk0ErrorOptions {
  /** Path of the file at fault. */
  readonly file?: string;
  /** Row in that file, from 0. */
  readonly row?: number;
  /** Recorded episode number. */
  readonly episode?: number;
}

/** Every failure of this package that a user can act on. */
export class DatasetError extends Zk0Error {
  declare readonly code: DatasetErrorCode;
  readonly file: string | undefined;
  readonly row: number | undefined;
  readonly episode: number | undefined;

  constructor(code: DatasetErrorCode, message: string, options: DatasetErrorOptions = {}) {
    super(code, message, options);
    this.file = options.file;
    this.row = options.row;
    this.episode = options.episode;
  }
}
