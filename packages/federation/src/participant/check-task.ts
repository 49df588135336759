import type { Task } from '@zk0/core';
import { FederationError } from '../errors.ts';
import { fitTaskSchema, type FitTask } from '../run/instructions.ts';

/** The most that a server may ask of a participant. */
export interface ParticipantLimits {
  /** Optimiser steps of one round (100 000). */
  readonly maxLocalSteps?: number;
  /** Samples per step (1024). */
  readonly maxBatchSize?: number;
  /** Bytes of the parameters (16 GiB). */
  readonly maxParametersBytes?: number;
  /** Whether updates leave masked or not at all: runs without secure aggregation are refused (false). */
  readonly maskedOnly?: boolean;
}

/** What a task asks for, within what this client allows. @throws FederationError `TASK_UNKNOWN`, `TASK_REFUSED` */
export function checkTask(task: Task, limits: ParticipantLimits = {}): FitTask {
  const { maxLocalSteps = 100_000, maxBatchSize = 1024, maxParametersBytes = 16 * 2 ** 30, maskedOnly = false } = limits;
  const parsed = fitTaskSchema.safeParse(task.instructions);
  if (task.kind !== 'fit' || !parsed.success) {
    throw new FederationError('TASK_UNKNOWN', `round ${task.round}: the server sent a task that this client cannot read`, {
      hint: 'Run the same zk0 release on both sides.',
    });
  }
  const { localSteps, batchSize } = parsed.data.fit;
  const refuse = (what: string, asked: number, limit: number): FederationError =>
    new FederationError('TASK_REFUSED', `round ${task.round}: the server asks for ${asked} ${what}, this client does at most ${limit}`, {
      hint: 'Raise the limit on the client if the server is to be trusted with that.',
    });
  if (maskedOnly && parsed.data.masking === undefined) {
    throw new FederationError('TASK_REFUSED', `round ${task.round}: the run has no secure aggregation, and this client’s updates leave masked or not at all`, {
      hint: 'Ask the operator for a run with secure aggregation, or start the client without that demand.',
    });
  }
  if (localSteps > maxLocalSteps) throw refuse('local steps', localSteps, maxLocalSteps);
  if (batchSize > maxBatchSize) throw refuse('samples per step', batchSize, maxBatchSize);
  if (task.parameters.byteLength > maxParametersBytes) throw refuse('bytes of parameters', task.parameters.byteLength, maxParametersBytes);
  return parsed.data;
}
