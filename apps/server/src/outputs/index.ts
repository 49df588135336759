/**
 * @module
 * The files that a run leaves: metrics, charts, TensorBoard events, model cards.
 */
export { OutputsError } from './errors.ts';
export { modelCard, type ModelCardInput } from './model-card.ts';
export { RunPaths } from './paths.ts';
export { createRunOutputs, type RunOutputs } from './run-outputs.ts';
export type { ClientRound, MissingClient, RoundRecord, RunDataset, RunInfo, ServerEvaluation, SuccessRecord } from './types.ts';
export { roundRecords, runInfo } from './round-records.ts';
export { runFiles } from './run-files.ts';
