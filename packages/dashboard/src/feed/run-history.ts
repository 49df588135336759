import type { Ledger } from '@zk0/federation';
import { runChange } from '../model/run-change.ts';
import { reduceRun } from '../model/reduce-run.ts';
import type { RoundView, RunView } from '../model/view.ts';

/**
 * A run as its history makes it; `null` when there is none.
 *
 * @param untilRound - stop when this round is over
 */
export async function runView(ledger: Pick<Ledger, 'history'>, runId: string, untilRound = Number.POSITIVE_INFINITY): Promise<RunView | null> {
  let run: RunView | null = null;
  for await (const entries of ledger.history(runId)) {
    for (const { position, at, event } of entries) {
      if (event.type === 'round-configured' && event.round > untilRound) return run;
      run = reduceRun(run, { type: 'run', runId, position, at: at.getTime(), change: runChange(event) });
    }
  }
  return run;
}

/** One round of a run with all its participants; `null` when there is none. */
export async function roundView(ledger: Pick<Ledger, 'history'>, runId: string, round: number): Promise<RoundView | null> {
  const run = await runView(ledger, runId, round);
  const last = run?.rounds.at(-1);
  return last?.round === round ? last : null;
}
