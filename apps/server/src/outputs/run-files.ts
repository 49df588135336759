import type { LedgerEntry, LedgerRun, Observer } from '@zk0/federation';
import { roundRecords, runInfo } from './round-records.ts';
import { RoundTimes } from './round-times.ts';
import { createRunOutputs, type RunOutputs } from './run-outputs.ts';

/** Events after which a round has something new to record. */
const RECORDED: ReadonlySet<string> = new Set(['round-evaluated', 'round-checkpointed', 'round-skipped', 'run-finished', 'run-failed', 'run-stopped']);

/** What recording a run needs beside its folder. */
export interface RunFilesOptions {
  /** A run's history: after a restart, when things happened is read from it. */
  readonly entries: (runId: string) => Promise<readonly LedgerEntry[]>;
  /** Goes into `config.json` as `simulation`. */
  readonly record?: Readonly<Record<string, unknown>>;
}

/** Writes what a run leaves beside its checkpoints: metrics, event files, charts. Recording something twice changes nothing. */
export function runFiles(directory: string, { entries, record }: RunFilesOptions): Observer {
  let outputs: RunOutputs | undefined;
  let times = new RoundTimes();
  const bringUpTo = async ({ state, createdAt }: LedgerRun): Promise<void> => {
    // Before its start a run has nothing to say.
    if (state.context === null) return;
    outputs ??= await createRunOutputs(directory, { ...runInfo(state, createdAt), ...(record !== undefined && { simulation: record }) });
    for (const round of roundRecords(state, outputs.rounds.at(-1)?.round, times.over)) await outputs.recordRound(round);
    times.forget(outputs.rounds.at(-1)?.round ?? -1);
  };
  return {
    name: 'run files',
    resume: async (run) => {
      times = new RoundTimes();
      // The run may be further than the notice that is handled: entries that come again change nothing that is recorded.
      for (const entry of await entries(run.state.runId)) times.take(entry);
      await bringUpTo(run);
    },
    handle: async (entry, run) => {
      times.take(entry);
      if (RECORDED.has(entry.event.type)) await bringUpTo(run);
    },
    close: async () => {
      await outputs?.close();
    },
  };
}
