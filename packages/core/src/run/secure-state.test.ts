import { expect, it } from 'vitest';
import { runConfigSchema } from '../config/run-config.ts';
import { CLIENT_EXCLUDED, SECURE_DROPPED_OUT } from '../errors.ts';
import { applyRunEvent, replay } from './apply.ts';
import type { RunEvent } from './events.ts';
import { nextAction } from './next-action.ts';
import type { RunState } from './state.ts';

const blob = (name: string): { hash: string; byteLength: number } => ({ hash: name.repeat(64).slice(0, 64), byteLength: 8 });
const key = (name: string): string => `${name.repeat(43).slice(0, 43)}=`;
const keysOf = (clientId: string): RunEvent => ({ type: 'secure-keys-advertised', round: 1, clientId, keys: { encryption: key(clientId), masking: key('x'), seedHash: key('y') } });
const sharesOf = (clientId: string): RunEvent => ({ type: 'secure-shares-dealt', round: 1, clientId, shares: {} });
const updateOf = (clientId: string): RunEvent => ({ type: 'update-accepted', round: 1, clientId, update: blob(clientId), numExamples: 1, metrics: {} });
const answerOf = (clientId: string): RunEvent => ({ type: 'secure-unmasked', round: 1, clientId, answer: null });
const stage = (name: 'shares' | 'training' | 'unmask', ...members: string[]): RunEvent => ({
  type: 'secure-stage-opened', round: 1, stage: name, members, ...(name === 'shares' && { graph: { seed: 's', degree: 2 } }),
});

const begin = (more: Partial<Extract<RunEvent, { type: 'round-configured' }>> = {}, input: object = { secureAggregation: true }): RunState =>
  replay([
    { type: 'run-created', runId: 'run', config: runConfigSchema.parse({ rounds: 1, ...input }) },
    { type: 'run-started', parameters: blob('0'), context: {} },
    { type: 'round-evaluated', round: 0, evaluation: null },
    { type: 'round-configured', round: 1, assignments: ['a', 'b', 'c', 'd'].map((clientId) => ({ clientId, instructions: {} })), ...more },
  ])!;
const then = (state: RunState, ...events: RunEvent[]): RunState => events.reduce<RunState>((before, event) => applyRunEvent(before, event), state);
const outcomes = (state: RunState): Record<string, string> => Object.fromEntries([...state.rounds[0]!.participants].map(([id, { outcome }]) => [id, 'code' in outcome ? outcome.code : outcome.state]));
const toTraining = [...['a', 'b', 'c'].map(keysOf), stage('shares', 'a', 'b', 'c'), ...['a', 'b', 'c'].map(sharesOf), stage('training', 'a', 'b', 'c')];

it('goes through its stages, and whoever is not in one is out', () => {
  const training = then(begin(), ...toTraining);
  expect(nextAction(training)).toEqual({ do: 'collect-updates', round: 1, stage: 'training' });
  expect(outcomes(training)).toEqual({ a: 'assigned', b: 'assigned', c: 'assigned', d: SECURE_DROPPED_OUT });
  const unmask = then(training, updateOf('a'), updateOf('b'), stage('unmask', 'a', 'b'));
  expect(outcomes(unmask)).toEqual({ a: 'accepted', b: 'accepted', c: SECURE_DROPPED_OUT, d: SECURE_DROPPED_OUT });
  const over = then(unmask, answerOf('a'), { type: 'round-closed', round: 1, reason: 'all-in' }, { type: 'round-skipped', round: 1, reason: 'too few' });
  expect(over.rounds[0]).toMatchObject({ phase: 'skipped' });
  expect(over.rounds[0]).not.toHaveProperty('secure');
});

it('whoever trains when as many updates are in as are wanted has not failed', () => {
  const state = then(begin({ wanted: 2 }), ...toTraining, updateOf('a'), updateOf('b'), stage('unmask', 'a', 'b'));
  expect(outcomes(state)).toMatchObject({ c: 'unneeded' });
});

it('an operator takes nobody out of a sum that is fixed', () => {
  const excluded: RunEvent = { type: 'client-excluded', clientId: 'a', reason: 'why' };
  const training = then(begin(), ...toTraining, updateOf('a'), updateOf('b'));
  expect(outcomes(then(training, excluded))).toMatchObject({ a: CLIENT_EXCLUDED });
  const fixed = then(training, stage('unmask', 'a', 'b'), excluded);
  expect(outcomes(fixed)).toMatchObject({ a: 'accepted' });
  expect(fixed.barred.get('a')).toBe('why');
});

it.each<[string, readonly RunEvent[]]>([
  ['keys twice', [keysOf('a'), keysOf('a')]],
  ['keys of a stranger', [keysOf('z')]],
  ['shares before their stage', [keysOf('a'), sharesOf('a')]],
  ['a stage of somebody whose keys are not known', [keysOf('a'), stage('shares', 'a', 'b')]],
  ['a stage without its graph', [keysOf('a'), { type: 'secure-stage-opened', round: 1, stage: 'shares', members: ['a'] }]],
  ['a stage before the one before it', [keysOf('a'), stage('training', 'a')]],
  ['an update before training', [keysOf('a'), updateOf('a')]],
  ['an update after the sum is fixed', [...toTraining, updateOf('a'), stage('unmask', 'a'), updateOf('b')]],
  ['a sum that leaves an update out', [...toTraining, updateOf('a'), updateOf('b'), stage('unmask', 'a')]],
  ['a sum with an update that is not there', [...toTraining, updateOf('a'), stage('unmask', 'a', 'b')]],
  ['masks taken off by somebody who is not in the sum', [...toTraining, updateOf('a'), stage('unmask', 'a'), answerOf('b')]],
  ['masks taken off before the sum is fixed', [...toTraining, updateOf('a'), answerOf('a')]],
])('%s is not possible', (_, events) => {
  const before = then(begin(), ...events.slice(0, -1));
  expect(() => applyRunEvent(before, events.at(-1)!)).toThrow(expect.objectContaining({ code: 'RUN_ILLEGAL_TRANSITION' }) as Error);
});

it('no such thing happens in a run without secure aggregation', () => {
  expect(() => applyRunEvent(begin({}, {}), keysOf('a'))).toThrow('which has no secure aggregation');
  expect(begin({}, { secureAggregation: false }).rounds[0]).not.toHaveProperty('secure');
});
