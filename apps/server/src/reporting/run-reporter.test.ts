import { PassThrough } from 'node:stream';
import { createProgress } from '@zk0/cli';
import { runConfigSchema, type RunEvent } from '@zk0/core';
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

it('says what an update has cost beside float32, where it is encoded', () => {
  const lines = (asked: readonly string[], broadcastEncoding: 'float32' | 'int4' = 'float32'): string => {
    const out = new PassThrough();
    const reporter = new RunReporter(createProgress(out));
    const update = (byteLength: number) => ({ hash: '0'.repeat(64), byteLength });
    const events: RunEvent[] = [
      { type: 'run-created', runId: 'r', config: runConfigSchema.parse({ rounds: 1, broadcastEncoding }) },
      { type: 'run-started', parameters: update(393e6), context: {} },
      { type: 'round-configured', round: 1, assignments: asked.map((encoding, index) => ({ clientId: String(index), instructions: { update: { encoding, last: null } } })) },
      { type: 'update-accepted', round: 1, clientId: 'a', update: update(101e6), numExamples: 1, metrics: { bytes_down: 53e6 } },
      { type: 'update-accepted', round: 1, clientId: 'b', update: update(103e6), numExamples: 1, metrics: {} },
      { type: 'round-checkpointed', round: 1, path: null },
    ];
    for (const event of events) reporter.take({ kind: 'run', runId: 'r', at: '2026-01-01T00:00:00Z', event });
    return String(out.read());
  };
  expect(lines(['int8', 'int8'])).toContain('round 1/1 · sent 102 MB a client instead of 393 MB (int8) · 0.0 s');
  expect(lines(['int8', 'ternary'])).toContain('sent 102 MB a client instead of 393 MB (int8, ternary)');
  expect(lines([])).toContain('round 1/1 · 0.0 s');
  expect(lines([], 'int4')).toContain('round 1/1 · fetched 53 MB a client instead of 393 MB (int4) · 0.0 s');
});
