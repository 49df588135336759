import { PassThrough } from 'node:stream';
import { createProgress } from '@zk0/cli';
import type { RunEvent } from '@zk0/core';
import { expect, it } from 'vitest';
import { RunReporter } from './run-reporter.ts';

it('counts clients whose updates come without a loss, as private ones do', () => {
  const reporter = new RunReporter(createProgress(new PassThrough(), { quiet: true }));
  const update = { hash: '0'.repeat(64), byteLength: 8 };
  const accepted = (clientId: string, metrics: Record<string, number>): RunEvent => ({ type: 'update-accepted', round: 1, clientId, update, numExamples: 1, metrics });
  const events: RunEvent[] = [
    { type: 'round-configured', round: 1, assignments: [] },
    accepted('a', {}),
    accepted('b', { loss: 0.5 }),
    { type: 'update-refused', round: 1, clientId: 'c', code: 'X', message: 'broken' },
    { type: 'round-checkpointed', round: 1, path: null },
  ];
  for (const event of events) reporter.take({ kind: 'run', runId: 'r', at: '2026-01-01T00:00:00Z', event });
  expect(reporter.table()).toMatch(/1 +– +0\.5000 +2\/3/);
});
