import type { RunState } from '@zk0/core';

/** A run in a few lines of JSON, for `status`, `runs` and scripts. */
export interface RunDescription {
  readonly [key: string]: string | number | null;
  readonly runId: string;
  readonly phase: string;
  readonly round: number;
  readonly rounds: number;
  readonly roundPhase: string | null;
  readonly policyLoss: number | null;
  readonly ending: string | null;
}

/** Describes where a run stands. */
export function describeRun(state: RunState): RunDescription {
  const last = state.rounds.at(-1);
  const evaluation = state.rounds.findLast((round) => round.evaluation)?.evaluation ?? state.baseline;
  return {
    runId: state.runId,
    phase: state.phase,
    round: last?.round ?? 0,
    rounds: state.config.rounds,
    roundPhase: last?.phase ?? null,
    policyLoss: evaluation?.policyLoss ?? null,
    ending: state.ending?.message ?? null,
  };
}
