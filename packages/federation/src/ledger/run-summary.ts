import { isFinal, nextAction, type RunState } from '@zk0/core';
import * as z from 'zod';

/** A run in a few values: what `status` lists, kept as one row beside its history. */
export const runSummarySchema = z.object({
  runId: z.string(),
  phase: z.enum(['waiting_for_clients', 'running', 'finished', 'failed', 'stopped', 'unreadable']),
  /** The newest round, 0 before the first. */
  round: z.number(),
  rounds: z.number(),
  roundPhase: z.string().nullable(),
  /** Clients of the newest round: asked, and heard. */
  asked: z.number(),
  heard: z.number(),
  policyLoss: z.number().nullable(),
  /** Hash of the newest global parameters. */
  parameters: z.string().nullable(),
  /** Why it ended, or why it cannot be read. */
  ending: z.string().nullable(),
  /** Why an operator paused it. This and the next are absent in ledgers of earlier releases. */
  paused: z.string().nullable().default(null),
  /** Whether it is paused and has finished its last round: there is nothing to do for it. */
  isResting: z.boolean().default(false),
});
export type RunSummary = z.infer<typeof runSummarySchema>;

/** Describes where a run stands. */
export function summarize(state: RunState): RunSummary {
  const last = state.rounds.at(-1);
  const evaluation = state.rounds.findLast((round) => round.evaluation)?.evaluation ?? state.baseline;
  const outcomes = [...(last?.participants.values() ?? [])].map(({ outcome }) => outcome.state);
  return {
    runId: state.runId,
    phase: state.phase,
    round: last?.round ?? 0,
    rounds: state.config.rounds,
    roundPhase: last?.phase ?? null,
    asked: outcomes.length,
    heard: outcomes.filter((outcome) => outcome === 'accepted' || outcome === 'refused').length,
    policyLoss: evaluation?.policyLoss ?? null,
    parameters: state.parameters?.hash ?? null,
    ending: state.ending?.message ?? state.stopRequested ?? null,
    paused: isFinal(state) ? null : (state.paused ?? null),
    isResting: nextAction(state).do === 'rest',
  };
}

/** What is said of a run whose history cannot be used. */
export function unreadable(runId: string, error: string): RunSummary {
  return {
    runId, phase: 'unreadable', round: 0, rounds: 0, roundPhase: null, asked: 0, heard: 0, policyLoss: null, parameters: null, ending: error,
    paused: null, isResting: false,
  };
}

/** Whether a run still wants to be driven. */
export function isOpen({ phase }: Pick<RunSummary, 'phase'>): boolean {
  return phase !== 'unreadable' && !isFinal({ phase });
}
