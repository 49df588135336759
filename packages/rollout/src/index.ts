/**
 * @module
 * Tries policies in worlds: success rates with intervals, by task and place, how trials fail, baselines. Knows the `World`
 * of core and nothing of policies or simulators.
 */
export { blindReplay, motionless } from './baselines.ts';
export { formatRate, reportOf, summarize, type PlaceSummary, type RolloutReport, type TrialSummary } from './report.ts';
export { rollout, type RolloutOptions } from './rollout.ts';
export type { Act, Action, Controller, Trial } from './trial.ts';
export { successRate, type SuccessRate } from './wilson.ts';
