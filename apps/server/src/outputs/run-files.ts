import type { LedgerRun, Observer } from '@zk0/federation';
import { roundRecords, runInfo } from './round-records.ts';
import { createRunOutputs, type RunOutputs } from './run-outputs.ts';

/** Events after which a round has something new to record. */
const RECORDED: ReadonlySet<string> = new Set(['round-evaluated', 'round-checkpointed', 'round-skipped', 'run-finished', 'run-failed', 'run-stopped']);

/** Writes what a run leaves beside its checkpoints: metrics, event files, charts. Recording something twice changes nothing. */
export function runFiles(directory: string): Observer {
  let outputs: RunOutputs | undefined;
  const bringUpTo = async ({ state, createdAt }: LedgerRun): Promise<void> => {
    // Before its start a run has nothing to say.
    if (state.context === null) return;
    outputs ??= await createRunOutputs(directory, runInfo(state, createdAt));
    for (const record of roundRecords(state, outputs.rounds.at(-1)?.round)) await outputs.recordRound(record);
  };
  return {
    name: 'run files',
    resume: bringUpTo,
    handle: async ({ event }, run) => {
      if (RECORDED.has(event.type)) await bringUpTo(run);
    },
    close: async () => {
      await outputs?.close();
    },
  };
}
