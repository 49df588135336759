import type { Participant, RunState } from '@zk0/core';
import { describe, expect, it } from 'vitest';
import { stepsBySpeed } from './steps-by-speed.ts';

const fit = (localSteps: number): object => ({ round: 1, seed: 's', localSteps, batchSize: 1, learningRate: 0.1, proximalMu: 0 });
/** Rounds in which each client made so many steps in so many seconds. */
const rounds = (...all: Record<string, [steps: number, seconds: number] | null>[]): Pick<RunState, 'rounds'> => ({
  rounds: all.map((clients, index) => ({
    round: index + 1,
    phase: 'done',
    participants: new Map(Object.entries(clients).map(([clientId, measure]): [string, Participant] => [
      clientId,
      measure === null
        ? { instructions: { fit: fit(9) }, outcome: { state: 'refused', code: 'X', message: 'x' } }
        : { instructions: { fit: fit(measure[0]) }, outcome: { state: 'accepted', update: { hash: '0', byteLength: 1 }, numExamples: 1, metrics: {}, seconds: measure[1] } },
    ])),
  })),
});
const plan = (state: Pick<RunState, 'rounds'>, localSteps = 60, bound = 10, clientIds = ['a', 'b', 'c']): Record<string, number> =>
  Object.fromEntries(stepsBySpeed(state, { clientIds, localSteps, bound }));

describe('local steps by speed', () => {
  it('are in proportion to the measured speeds, and as many together as if all made the same', () => {
    const steps = plan(rounds({ a: [60, 60], b: [60, 30], c: [60, 20] }));
    expect(steps).toEqual({ a: 30, b: 60, c: 90 });
  });

  it('are the usual number for who has not been measured, and its absence changes nothing for the others', () => {
    expect(plan(rounds({ a: [60, 60], b: [60, 20], c: null }))).toEqual({ a: 30, b: 90, c: 60 });
    expect(plan(rounds())).toEqual({ a: 60, b: 60, c: 60 });
    expect(plan(rounds(), 60, 10, [])).toEqual({});
  });

  it('stay within the bound, and are never none', () => {
    expect(plan(rounds({ a: [60, 6000], b: [60, 1], c: [60, 1] }), 60, 2)).toEqual({ a: 30, b: 90, c: 90 });
    expect(plan(rounds({ a: [1, 1e6], b: [60, 0], c: [60, 1] }), 1, 1.5)).toEqual({ a: 1, b: 1, c: 1 });
  });

  it('are not decided by one task that took long for once, and follow a change that lasts', () => {
    const usual: Record<string, [number, number]> = { a: [60, 60], b: [60, 60], c: [60, 60] };
    expect(plan(rounds(usual, usual, { ...usual, a: [60, 6000] }))).toEqual({ a: 60, b: 60, c: 60 });
    const slower: Record<string, [number, number]> = { ...usual, a: [60, 120] };
    expect(plan(rounds(usual, usual, slower, slower))).toEqual({ a: 36, b: 72, c: 72 });
  });

  it('come to equal times where part of each task is a transfer', () => {
    const [overhead, seconds] = [{ a: 10, b: 50, c: 100 }, { a: 1, b: 2, c: 4 }];
    const took = (steps: Record<string, number>): Record<string, [number, number]> =>
      Object.fromEntries((['a', 'b', 'c'] as const).map((id) => [id, [steps[id]!, overhead[id] + steps[id]! * seconds[id]]]));
    const history = [took({ a: 100, b: 100, c: 100 })];
    for (let round = 0; round < 40; round++) history.push(took(plan(rounds(...history), 100)));
    const times = Object.values(history.at(-1)!).map(([, time]) => time);
    expect(Math.max(...times) / Math.min(...times)).toBeLessThan(1.05);
  });
});
