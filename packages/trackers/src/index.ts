/**
 * @module
 * Sends the figures of a run to MLflow, trackio or Weights & Biases, without the run ever waiting for them.
 */
export { parseTracker, TRACKER_SERVICES, type TrackerAddress, type TrackerService } from './address.ts';
export { TrackerError, type TrackerErrorCode } from './errors.ts';
export type { TrackerLine } from './lines.ts';
export { keptAddresses, MAX_SPOOL_BYTES } from './spool.ts';
export { Tracker, type TrackerLog, type TrackerOptions } from './tracker.ts';
