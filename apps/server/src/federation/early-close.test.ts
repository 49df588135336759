import { join } from 'node:path';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { runConfigSchema, type RunEvent } from '@zk0/core';
import { silentLogger } from '@zk0/logger';
import { afterAll, expect, it } from 'vitest';
import { Journal } from './journal.ts';
import type { RoundWork } from './round-work.ts';
import { RunDriver } from './run-driver.ts';
import { UpdateDesk } from './update-desk.ts';

const directory = mkdtempSync(join(tmpdir(), 'zk0-early-close-'));
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const blob = { hash: 'a'.repeat(64), byteLength: 1 };
const result = (clientId: string) => ({
  clientId,
  taskId: `r/1/${clientId}`,
  runId: 'r',
  round: 1,
  attempt: 1,
  outcome: { ok: true as const, update: blob, numExamples: 1, metrics: { loss: 1 } },
});

it('a round that asked more clients than it needs closes when enough have answered; the others are told so and have not failed', async () => {
  const journal = new Journal(join(directory, 'journal'));
  const config = runConfigSchema.parse({ rounds: 1, minClients: 2, overSelection: 1 });
  journal.append('r', { type: 'run-created', runId: 'r', config }, new Date());
  const withdrawn: string[] = [];
  // Journal, driver and desk are the real ones; of the work on a round only what costs time is left out.
  const work: Partial<RoundWork> = {
    start: () => Promise.resolve({ parameters: blob, context: {} }),
    configure: () => Promise.resolve({ assignments: ['a', 'b', 'c', 'd'].map((clientId) => ({ clientId, instructions: {} })), wanted: 2 }),
    publishTasks: () => undefined,
    withdrawTasks: () => void withdrawn.push('all'),
    taskSettled: (clientId) => void withdrawn.push(clientId),
    inspect: () => Promise.resolve(),
    evaluate: () => Promise.resolve(null),
    record: () => Promise.resolve(),
    saveCheckpoint: () => Promise.resolve('checkpoint'),
    saveLastCheckpoint: () => Promise.resolve(null),
    collectGarbage: () => Promise.resolve(),
    close: () => Promise.resolve(),
    aggregate: () =>
      Promise.resolve({ type: 'round-aggregated', round: 1, parameters: blob, strategyState: null, strategyScalars: {}, metrics: {}, excluded: [] }),
  };
  const events: RunEvent[] = [];
  let resolve!: () => void;
  const configured = new Promise<void>((done) => (resolve = done));
  const driver = new RunDriver({
    runId: 'r',
    journal,
    work: work as RoundWork,
    onEvent: (event) => {
      events.push(event);
      if (event.type === 'round-configured') resolve();
    },
  });
  const desk = new UpdateDesk({ driver, work: work as RoundWork, log: silentLogger });
  const run = driver.run(new AbortController().signal);
  await configured;
  await expect(desk.settle(result('c'))).resolves.toEqual({ status: 'accepted' });
  await expect(desk.settle({ ...result('d'), outcome: { ok: false, code: 'CRASH', message: 'broke' } })).resolves.toEqual({ status: 'accepted' });
  await expect(desk.settle(result('a'))).resolves.toEqual({ status: 'accepted' });
  const { rounds, phase } = await run;
  expect(phase).toBe('finished');
  expect(withdrawn).toEqual(['c', 'd', 'a', 'all', 'all']);
  await expect(desk.settle(result('b'))).resolves.toEqual({
    status: 'late',
    message: 'round 1 is closed: other clients gave the 2 updates that it wanted',
  });
  expect(rounds[0]!.closedBecause).toBe('enough');
  expect(Object.fromEntries([...rounds[0]!.participants].map(([id, { outcome }]) => [id, outcome.state]))).toEqual({
    a: 'accepted',
    b: 'unneeded',
    c: 'accepted',
    d: 'refused',
  });
  expect(journal.state('r')).toEqual(driver.state);
  expect(events.filter(({ type }) => type === 'update-refused')).toHaveLength(1);
  journal.close();
});
