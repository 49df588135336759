import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/**
 * Why a dataset could not be written.
 *
 * - `DATASET_EXISTS`: something is already at the target path; nothing is ever overwritten.
 * - `DATASET_EPISODE_INVALID`: an episode or one of its frames does not fit what the writer was created for.
 * - `DATASET_NO_ENCODER`: no video encoder is installed on this machine.
 * - `DATASET_ENCODING`: the video encoder refused a setting or a frame.
 * - `DATASET_NOT_CONVERTIBLE`: the dataset to convert holds what the target format has no place for here.
 * - `DATASET_NOT_REPAIRABLE`: a repaired copy would lack something that nobody said may be left out.
 * - `DATASET_WRITER_STATE`: the writer was used after `finish`, `abort` or a failure, or by two callers at once.
 */
export type DatasetWriteErrorCode =
  | 'DATASET_EXISTS'
  | 'DATASET_EPISODE_INVALID'
  | 'DATASET_NO_ENCODER'
  | 'DATASET_ENCODING'
  | 'DATASET_NOT_CONVERTIBLE'
  | 'DATASET_NOT_REPAIRABLE'
  | 'DATASET_WRITER_STATE';

/** Every failure of writing a dataset that a user can act on. */
export class DatasetWriteError extends Zk0Error {
  declare readonly code: DatasetWriteErrorCode;

  constructor(code: DatasetWriteErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}
