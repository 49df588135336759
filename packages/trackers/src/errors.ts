import { Zk0Error, type Zk0ErrorOptions } from '@zk0/core';

/**
 * Codes of {@link TrackerError}: the tracker does not answer, or is in trouble itself; it does not accept the credentials, or does not know
 * the run any more; it refuses a line for what is in it; the folder with what is kept is damaged or cannot be written.
 */
export type TrackerErrorCode = 'TRACKER_UNREACHABLE' | 'TRACKER_UNAUTHORIZED' | 'TRACKER_REFUSED' | 'TRACKER_SPOOL_UNUSABLE';

/** Something is wrong between a run and a tracker. A run never fails of it. */
export class TrackerError extends Zk0Error {
  declare readonly code: TrackerErrorCode;

  constructor(code: TrackerErrorCode, message: string, options: Zk0ErrorOptions = {}) {
    super(code, message, options);
  }
}
