import { TRIAL_FAILURES, type TrialFailure } from '@zk0/core';
import type { Trial } from './trial.ts';
import { successRate, type SuccessRate } from './wilson.ts';

/** Trials of one kind put together. */
export interface TrialSummary extends SuccessRate {
  /** Median of the successes, in the world's own seconds; null without any. */
  readonly secondsToSuccess: number | null;
  /** How many trials failed in which way; ways that did not occur are left out. */
  readonly failures: Readonly<Partial<Record<TrialFailure, number>>>;
  /** Share of the actions that were beyond the robot's limits. */
  readonly clampedShare: number;
  /** Mean over the trials of the largest share of the task that was done at once; absent where no task has parts. */
  readonly meanScore?: number;
}

/** The same for one task at one place. */
export interface PlaceSummary extends TrialSummary {
  readonly world: string;
  readonly place: string | null;
}

/** What a roll-out found. */
export interface RolloutReport extends TrialSummary {
  /** Trials that were asked for; `trials` are those that were finished. */
  readonly requested: number;
  /** Fixes layouts and noise: the same seed tries another policy in the same situations. */
  readonly seed: string;
  readonly places: readonly PlaceSummary[];
  readonly results: readonly Trial[];
}

/** Puts trials together. */
export function summarize(trials: readonly Trial[]): TrialSummary {
  const done = trials.filter(({ success }) => success);
  const failures = TRIAL_FAILURES.map((kind) => [kind, trials.filter(({ failure }) => failure === kind).length] as const);
  const steps = trials.reduce((sum, trial) => sum + trial.steps, 0);
  const clamped = trials.reduce((sum, trial) => sum + trial.clamped, 0);
  const scores = trials.flatMap(({ score }) => score ?? []);
  return {
    ...successRate(done.length, trials.length),
    secondsToSuccess: median(done.map(({ seconds }) => seconds)),
    failures: Object.fromEntries(failures.filter(([, count]) => count > 0)),
    clampedShare: steps === 0 ? 0 : clamped / steps,
    ...(scores.length === 0 ? {} : { meanScore: scores.reduce((sum, score) => sum + score) / scores.length }),
  };
}

/** Puts the trials of a roll-out together, by task and place too. */
export function reportOf(results: readonly Trial[], requested: number, seed: string): RolloutReport {
  const groups = new Map<string, Trial[]>();
  for (const trial of results) {
    const key = JSON.stringify([trial.world, trial.place]);
    groups.set(key, [...(groups.get(key) ?? []), trial]);
  }
  const places = [...groups.values()].map((trials) => ({ world: trials[0]!.world, place: trials[0]!.place, ...summarize(trials) }));
  return { ...summarize(results), requested, seed, places, results };
}

function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** `84 % (76 – 90)`: the rate and its interval, for people. */
export function formatRate({ rate, low, high }: Pick<SuccessRate, 'rate' | 'low' | 'high'>): string {
  const percent = (value: number): string => (value * 100).toFixed(0);
  return `${percent(rate)} % (${percent(low)} – ${percent(high)})`;
}
