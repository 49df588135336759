import type { RunEvent } from '@zk0/core';
import { expect, it } from 'vitest';
import { roundTimeFields, RoundTimes } from './round-times.ts';

const at = (seconds: number): Date => new Date(Date.UTC(2026, 0, 31, 12, 0, seconds));
const blob = { hash: '0'.repeat(64), byteLength: 8 };
const history: readonly (readonly [number, RunEvent])[] = [
  [0, { type: 'run-started', parameters: blob, context: {} }],
  [2, { type: 'round-evaluated', round: 0, evaluation: null }],
  [3, { type: 'round-configured', round: 1, assignments: [] }],
  [7, { type: 'update-accepted', round: 1, clientId: 'a', update: blob, numExamples: 1, metrics: {} }],
  [8, { type: 'round-closed', round: 1, reason: 'all-in' }],
  [9, { type: 'round-aggregated', round: 1, parameters: blob, strategyState: null, strategyScalars: {}, metrics: {}, excluded: [] }],
  [12, { type: 'round-evaluated', round: 1, evaluation: null }],
  [13, { type: 'round-configured', round: 2, assignments: [] }],
  [15, { type: 'round-closed', round: 2, reason: 'deadline' }],
  [16, { type: 'round-skipped', round: 2, reason: 'too few updates' }],
];

it('knows when the steps of each round were over, a skipped one too', () => {
  const times = new RoundTimes();
  for (const [seconds, event] of history) times.take({ at: at(seconds), event });
  expect([...times.over.keys()]).toEqual([0, 1, 2]);
  expect(roundTimeFields(times.over.get(0)!)).toEqual({ started_at: '2026-01-31T12:00:00.000Z', ended_at: '2026-01-31T12:00:02.000Z', round_s: 2, evaluate_s: 2 });
  expect(roundTimeFields(times.over.get(1)!)).toMatchObject({ round_s: 9, collect_s: 5, aggregate_s: 1, evaluate_s: 3 });
  expect(times.over.get(1)!.receivedAt).toEqual(new Map([['a', at(7)]]));
  expect(roundTimeFields(times.over.get(2)!)).toMatchObject({ round_s: 3, collect_s: 2 });
  times.forget(1);
  expect([...times.over.keys()]).toEqual([2]);
});

it('gives the same when entries come again, as after a restart', () => {
  const [once, twice] = [new RoundTimes(), new RoundTimes()];
  for (const [seconds, event] of history) once.take({ at: at(seconds), event });
  for (const [seconds, event] of [...history, ...history.slice(-4)]) twice.take({ at: at(seconds), event });
  expect(twice.over).toEqual(once.over);
});
