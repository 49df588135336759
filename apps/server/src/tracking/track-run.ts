import type { LedgerEntry, LedgerRun, Observer } from '@zk0/federation';
import type { Tracker, TrackerLine } from '@zk0/trackers';
import { roundRecords, runInfo } from '../outputs/round-records.ts';
import { RoundTimes } from '../outputs/round-times.ts';
import { scalarsOf, successScalars } from '../outputs/tensorboard-scalars.ts';
import type { RunInfo, SuccessRecord } from '../outputs/types.ts';

/** Events after which trackers have something new to hear. */
const TRACKED: ReadonlySet<string> = new Set(['run-started', 'round-evaluated', 'round-checkpointed', 'round-skipped', 'run-finished', 'run-failed', 'run-stopped']);
const ENDS: Readonly<Record<string, (TrackerLine & { kind: 'end' })['state']>> = { 'run-finished': 'finished', 'run-failed': 'failed', 'run-stopped': 'stopped' };

/** What telling trackers of a run needs. */
export interface TrackRunOptions {
  /** Opens the trackers of the run. */
  readonly trackers: () => readonly Tracker[];
  /** A run's history: after a restart, when things happened is read from it. */
  readonly entries: (runId: string) => Promise<readonly LedgerEntry[]>;
  /** How often the run's policies did their tasks, as far as it is recorded. */
  readonly successes: () => readonly SuccessRecord[];
}

/** Hands a run's figures to its trackers. */
export interface RunTracking extends Observer {
  /** Has trackers hear of successes that were recorded meanwhile: some time after their round, perhaps after the run. */
  tried(): void;
}

/** Gives a tracker the successes that it was not given yet. One that does not know the run is given them after it. */
export function addSuccesses(tracker: Tracker, successes: readonly SuccessRecord[]): void {
  if (tracker.isEmpty) return;
  for (const record of successes) {
    if (!tracker.hasSuccess(record.round)) tracker.add({ kind: 'success', step: record.round, at: Date.now(), values: successScalars(record) });
  }
}

/** Hands a run's figures to its trackers, under the names that TensorBoard shows. What a tracker was given once it is not given again. */
export function trackRun({ trackers, entries, successes }: TrackRunOptions): RunTracking {
  let times = new RoundTimes();
  const tried = (): void => {
    for (const tracker of trackers()) addSuccesses(tracker, successes());
  };
  const bringUpTo = ({ state, createdAt }: LedgerRun): void => {
    if (state.context === null) return;
    for (const tracker of trackers()) {
      if (tracker.isEmpty) tracker.add({ kind: 'run', run: state.runId, at: createdAt.getTime(), config: settingsOf(runInfo(state, createdAt)) });
      for (const record of roundRecords(state, tracker.lastStep, times.over)) {
        tracker.add({ kind: 'metrics', step: record.round, at: (record.time?.endedAt ?? new Date()).getTime(), values: scalarsOf(record) });
      }
    }
    tried();
    times.forget(Math.min(...trackers().map(({ lastStep }) => lastStep)));
  };
  const end = ({ at, event: { type } }: LedgerEntry): void => {
    const state = ENDS[type];
    if (state === undefined) return;
    for (const tracker of trackers()) {
      if (!tracker.isEmpty && !tracker.hasEnd) tracker.add({ kind: 'end', at: at.getTime(), state });
    }
  };
  return {
    name: 'trackers',
    tried,
    resume: async (run) => {
      times = new RoundTimes();
      const history = await entries(run.state.runId);
      for (const entry of history) times.take(entry);
      bringUpTo(run);
      const last = history.at(-1);
      if (last !== undefined) end(last);
    },
    handle: (entry, run) => {
      times.take(entry);
      if (TRACKED.has(entry.event.type)) {
        bringUpTo(run);
        end(entry);
      }
      return Promise.resolve();
    },
  };
}

/** Every setting of a run by its dotted name, with what policy and strategy decided under `resolved`, and versions. */
export function settingsOf({ config, resolved, versions, datasets }: RunInfo): Record<string, string | number | boolean> {
  const settings: Record<string, string | number | boolean> = {};
  const add = (name: string, value: unknown): void => {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') settings[name] = value;
    else if (Array.isArray(value)) settings[name] = JSON.stringify(value);
    else if (typeof value === 'object' && value !== null) for (const [key, inner] of Object.entries(value)) add(`${name}.${key}`, inner);
  };
  for (const [key, value] of Object.entries(config)) add(key, value);
  for (const [key, value] of Object.entries(resolved ?? {})) add(`resolved.${key}`, value);
  for (const [key, value] of Object.entries(versions)) add(`versions.${key}`, value);
  add('datasets', datasets.filter(({ role }) => role === 'train').length);
  return settings;
}
