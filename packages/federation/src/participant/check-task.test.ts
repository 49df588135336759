import type { Task } from '@zk0/core';
import { expect, it } from 'vitest';
import { checkTask } from './check-task.ts';

const task = (more: object = {}): Task => ({
  taskId: 'run/1/a', runId: 'run', round: 1, kind: 'fit', attempt: 1,
  parameters: { hash: '0'.repeat(64), byteLength: 8 },
  instructions: { context: {}, fit: { round: 1, seed: 's', localSteps: 5, batchSize: 2, learningRate: 0.1, proximalMu: 0 }, ...more },
});

it('a client whose updates leave masked or not at all refuses runs that do not mask them, and takes those that do', () => {
  expect(() => checkTask(task(), { maskedOnly: true })).toThrow('the run has no secure aggregation');
  expect(checkTask(task({ masking: { clients: 3, clip: 1, maxWeight: 10 }, inbox: {} }), { maskedOnly: true }).masking?.clients).toBe(3);
  expect(checkTask(task()).fit.localSteps).toBe(5);
});

it('sums of too few, or of more than can be told apart from an overflow, are no tasks', () => {
  for (const clients of [2, 4097]) expect(() => checkTask(task({ masking: { clients, clip: 1, maxWeight: 10 } }))).toThrow('cannot read');
});
