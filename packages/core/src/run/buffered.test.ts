import { describe, expect, it } from 'vitest';
import { runConfigSchema } from '../config/run-config.ts';
import { replay } from './apply.ts';
import { IllegalTransitionError } from './illegal-transition.ts';
import type { RunEvent } from './events.ts';
import { versionsSince } from './staleness.ts';

const blob = (digit: number): { hash: string; byteLength: number } => ({ hash: String(digit).repeat(64), byteLength: 8 });
const configured = (round: number, clients: string[], dropped: string[] = []): RunEvent => ({
  type: 'round-configured', round, wanted: 1,
  assignments: clients.map((clientId) => ({ clientId, instructions: { of: round } })),
  buffered: { dropped: dropped.map((clientId) => ({ clientId, reason: 'stale' })) },
});
const accepted = (round: number, clientId: string, began?: number): RunEvent => ({
  type: 'update-accepted', round, clientId, update: blob(9), numExamples: 1, metrics: {}, ...(began !== undefined && { began }),
});
const over = (round: number): RunEvent[] => [
  { type: 'round-closed', round, reason: 'enough' },
  { type: 'round-aggregated', round, parameters: blob(round), strategyState: null, strategyScalars: {}, metrics: {}, excluded: [] },
  { type: 'round-evaluated', round, evaluation: null },
  { type: 'round-checkpointed', round, path: null },
];
const begin: RunEvent[] = [
  { type: 'run-created', runId: 'r', config: runConfigSchema.parse({ rounds: 5, minClients: 1 }) },
  { type: 'run-started', parameters: blob(0), context: {} },
  { type: 'round-evaluated', round: 0, evaluation: null },
];
const first = [...begin, configured(1, ['a', 'b', 'c']), accepted(1, 'a'), ...over(1)];

describe('a buffered round', () => {
  it('closes without those who train on, and they answer in a later one with what they began with', () => {
    const between = replay(first)!;
    expect([...between.rounds[0]!.participants.keys()]).toEqual(['a']);
    expect([...between.underWay!]).toEqual(['b', 'c'].map((id) => [id, { instructions: { of: 1 }, task: { round: 1, parameters: blob(0) } }]));
    const later = replay([...first, configured(2, ['a']), accepted(2, 'a'), ...over(2), configured(3, ['a']), accepted(3, 'b', 1)])!;
    expect(later.underWay).toBeUndefined();
    expect(later.rounds[2]!.participants.get('b')).toMatchObject({ outcome: { state: 'accepted' }, task: { round: 1, parameters: blob(0) } });
    expect(versionsSince(later, 1)).toBe(2);
    expect(versionsSince(later, 3)).toBe(0);
  });

  it('leaves out whom it drops, who may begin anew in it', () => {
    const state = replay([...first, configured(2, ['b'], ['b'])])!;
    expect(state.rounds[1]!.participants.get('b')).toEqual({ instructions: { of: 2 }, outcome: { state: 'assigned' } });
    expect(state.rounds[1]!.participants.get('c')!.task!.round).toBe(1);
  });

  it('has nothing under way any more of a client that is excluded between rounds', () => {
    const state = replay([...first, { type: 'client-excluded', clientId: 'b', reason: 'excluded' }, configured(2, ['a'])])!;
    expect([...state.rounds[1]!.participants.keys()].toSorted()).toEqual(['a', 'c']);
  });

  it.each([
    ['an answer that claims another start', [configured(2, []), accepted(2, 'b')]],
    ['an answer that claims a start it has not', [configured(2, ['a']), accepted(2, 'a', 1)]],
    ['a second task beside the first', [configured(2, ['b'])]],
    ['dropping somebody who has no task', [configured(2, [], ['a'])]],
    ['an answer while no round is open', [accepted(1, 'b')]],
    ['an answer of somebody who was dropped', [configured(2, [], ['b']), accepted(2, 'b', 1)]],
  ])('does not take %s', (_, events) => {
    expect(() => replay([...first, ...events])).toThrow(IllegalTransitionError);
  });

  it('keeps a task that goes on as it is over a skipped round, which is no version', () => {
    const skipped: RunEvent[] = [configured(2, []), { type: 'update-refused', round: 2, clientId: 'b', code: 'X', message: 'x' }, { type: 'update-refused', round: 2, clientId: 'c', code: 'X', message: 'x' }, { type: 'round-closed', round: 2, reason: 'all-in' }, { type: 'round-skipped', round: 2, reason: 'too few' }];
    const state = replay([...first, ...skipped, configured(3, ['a', 'b', 'c'])])!;
    expect(versionsSince(state, 1)).toBe(1);
    expect(state.rounds[1]!.participants.size).toBe(2);
  });
});
