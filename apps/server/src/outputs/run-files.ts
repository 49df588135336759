import { isDue, type RunConfig, type RunState } from '@zk0/core';
import type { LedgerEntry, LedgerRun, Observer } from '@zk0/federation';
import { roundRecords, runInfo } from './round-records.ts';
import { RoundTimes } from './round-times.ts';
import { addSuccess } from './success-card.ts';
import { createRunOutputs, type RunOutputs } from './run-outputs.ts';
import type { SuccessRecord } from './types.ts';

/** Events after which a round has something new to record. */
const RECORDED: ReadonlySet<string> = new Set(['round-evaluated', 'round-checkpointed', 'round-skipped', 'run-finished', 'run-failed', 'run-stopped']);

/** Tries policies; see `RunRollouts`. */
export interface PolicyTrials {
  request(round: number, checkpoint: string): void;
  idle(): Promise<void>;
}

/** What recording a run needs beside its folder. */
export interface RunFilesOptions {
  /** A run's history: after a restart, when things happened is read from it. */
  readonly entries: (runId: string) => Promise<readonly LedgerEntry[]>;
  /** Goes into `config.json` as `simulation`. */
  readonly record?: Readonly<Record<string, unknown>>;
  /** Tries a run's policies as its settings ask for; what comes out goes to `onResult`. */
  readonly trials: (settings: NonNullable<RunConfig['rollouts']>, onResult: (record: SuccessRecord, checkpoint: string) => Promise<void>) => PolicyTrials;
  /** Called when a success has been recorded, and when earlier ones have been read back. */
  readonly onSuccesses?: () => void;
}

/** Writes what a run leaves. */
export interface RunFiles extends Observer {
  /** How often policies did their tasks, as far as it is recorded. */
  readonly successes: readonly SuccessRecord[];
}

/** Writes what a run leaves beside its checkpoints: metrics, event files, charts. Recording something twice changes nothing. */
export function runFiles(directory: string, { entries, record, trials, onSuccesses }: RunFilesOptions): RunFiles {
  let outputs: RunOutputs | undefined;
  let tried: PolicyTrials | undefined;
  let times = new RoundTimes();
  const bringUpTo = async ({ state, createdAt }: LedgerRun): Promise<void> => {
    // Before its start a run has nothing to say.
    if (state.context === null) return;
    if (outputs === undefined) {
      outputs = await createRunOutputs(directory, { ...runInfo(state, createdAt), ...(record !== undefined && { simulation: record }) });
      if (outputs.successes.length > 0) onSuccesses?.();
    }
    for (const round of roundRecords(state, outputs.rounds.at(-1)?.round, times.over)) await outputs.recordRound(round);
    times.forget(outputs.rounds.at(-1)?.round ?? -1);
  };
  /** Asks for every checkpoint to be tried that the settings name and that has no result yet. */
  const tryPolicies = ({ config: { rollouts, rounds: last }, rounds }: RunState): void => {
    if (rollouts === undefined || outputs === undefined) return;
    const files = outputs;
    tried ??= trials(rollouts, async (success, checkpoint) => {
      await files.recordSuccess(success);
      onSuccesses?.();
      await addSuccess(checkpoint, success);
    });
    const known = new Set(files.successes.map(({ round }) => round));
    for (const { round, checkpoint } of rounds) {
      if (checkpoint != null && !known.has(round) && isDue(round, rollouts.every, last)) tried.request(round, checkpoint);
    }
  };
  return {
    name: 'run files',
    get successes(): readonly SuccessRecord[] {
      return outputs?.successes ?? [];
    },
    resume: async (run) => {
      times = new RoundTimes();
      // The run may be further than the notice that is handled: entries that come again change nothing that is recorded.
      for (const entry of await entries(run.state.runId)) times.take(entry);
      await bringUpTo(run);
      tryPolicies(run.state);
    },
    handle: async (entry, run) => {
      times.take(entry);
      if (!RECORDED.has(entry.event.type)) return;
      await bringUpTo(run);
      tryPolicies(run.state);
    },
    close: async () => {
      await tried?.idle();
      await outputs?.close();
    },
  };
}
