import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '@zk0/core';
import { keptAddresses, parseTracker, Tracker, type TrackerAddress, type TrackerLog } from '@zk0/trackers';
import { readSuccesses } from '../outputs/metrics-log.ts';
import { RunPaths } from '../outputs/paths.ts';
import { addSuccesses } from './track-run.ts';

/** Where a run keeps what its trackers do not have yet. */
export const trackingFolder = (runDirectory: string): string => join(runDirectory, 'tracking');

/** How long a process that ends waits for its trackers. */
export const CLOSE_TRACKERS_MS = 10_000;

/** The trackers of a process: of the run that is driven, and of those before it whose figures are still on their way. */
export class TrackerPool {
  readonly #addresses: readonly TrackerAddress[];
  readonly #log: TrackerLog;
  readonly #open = new Map<string, readonly Tracker[]>();

  /** @param addresses - where runs of this process go */
  constructor(addresses: readonly TrackerAddress[], log: TrackerLog) {
    this.#addresses = addresses;
    this.#log = log;
  }

  /** The trackers of a run. @throws TrackerError `TRACKER_SPOOL_UNUSABLE` */
  of(runDirectory: string): readonly Tracker[] {
    const known = this.#open.get(runDirectory);
    if (known !== undefined) return known;
    const trackers = this.#addresses.map((address) => new Tracker(address, { directory: trackingFolder(runDirectory), log: this.#log }));
    this.#open.set(runDirectory, trackers);
    return trackers;
  }

  /** Sends what runs below `out` have kept, to the trackers of this process. */
  resume(out: string): void {
    if (this.#addresses.length === 0 || !existsSync(out)) return;
    for (const entry of readdirSync(out, { withFileTypes: true })) {
      const directory = join(out, entry.name);
      if (!entry.isDirectory() || !existsSync(trackingFolder(directory))) continue;
      try {
        for (const tracker of this.of(directory)) addSuccesses(tracker, readSuccesses(new RunPaths(directory).metrics));
      } catch (error) {
        this.#log.warn(errorMessage(error));
      }
    }
  }

  /**
   * Waits until the trackers have everything, or for `ms`.
   *
   * @returns what was kept, by run and tracker
   */
  async close(ms: number): Promise<{ readonly directory: string; readonly address: TrackerAddress; readonly lines: number }[]> {
    const all = [...this.#open].flatMap(([directory, trackers]) => trackers.map((tracker) => ({ directory, tracker })));
    this.#open.clear();
    const left = await Promise.all(all.map(async ({ directory, tracker }) => ({ directory, address: tracker.address, lines: await tracker.close(ms) })));
    return left.filter(({ lines }) => lines > 0);
  }
}

/**
 * Sends what a run has kept for its trackers, and waits for it as long as that takes or `signal` allows.
 *
 * @returns lines that each tracker does not have; none where nothing was kept for any
 * @throws InvalidArgumentError for a tracker that cannot be used here, TrackerError `TRACKER_SPOOL_UNUSABLE`
 */
export async function sendKept(runDirectory: string, log: TrackerLog, ms: number): Promise<{ readonly address: TrackerAddress; readonly lines: number }[]> {
  const directory = trackingFolder(runDirectory);
  const trackers = keptAddresses(directory).map((text) => new Tracker(parseTracker(text), { directory, log }));
  for (const tracker of trackers) addSuccesses(tracker, readSuccesses(new RunPaths(runDirectory).metrics));
  return Promise.all(trackers.map(async (tracker) => ({ address: tracker.address, lines: await tracker.close(ms) })));
}
