import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runConfigSchema } from '../config/run-config.ts';
import { Random } from '../random/random.ts';
import { CLIENT_EXCLUDED } from '../errors.ts';
import { applyRunEvent, replay } from './apply.ts';
import { IllegalTransitionError } from './illegal-transition.ts';
import { runEventSchema, type RunEvent } from './events.ts';
import { allHeard, isDue, nextAction } from './next-action.ts';
import type { RunState } from './state.ts';

const blob = (digit: number): { hash: string; byteLength: number } => ({ hash: String(digit % 10).repeat(64), byteLength: 8 });

const created: RunEvent = { type: 'run-created', runId: 'r', config: runConfigSchema.parse({ rounds: 2, minClients: 1 }) };
const started: RunEvent = { type: 'run-started', parameters: blob(0), context: {} };
const baseline: RunEvent = { type: 'round-evaluated', round: 0, evaluation: null };
const configured = (round: number, clients = ['a', 'b']): RunEvent => ({
  type: 'round-configured',
  round,
  assignments: clients.map((clientId) => ({ clientId, instructions: {} })),
});
const accepted = (round: number, clientId: string): RunEvent => ({
  type: 'update-accepted',
  round,
  clientId,
  update: blob(round),
  numExamples: 3,
  metrics: {},
  ...(clientId === 'b' && { control: blob(round + 5) }),
});
const closed = (round: number): RunEvent => ({ type: 'round-closed', round, reason: 'all-in' });
const aggregated = (round: number): RunEvent => ({
  type: 'round-aggregated',
  round,
  parameters: blob(round),
  strategyState: null,
  strategyScalars: {},
  metrics: {},
  excluded: [],
});
const wholeRound = (round: number): RunEvent[] => [
  configured(round),
  accepted(round, 'a'),
  accepted(round, 'b'),
  closed(round),
  aggregated(round),
  { type: 'round-evaluated', round, evaluation: null },
  { type: 'round-checkpointed', round, path: null },
];

describe('a run', () => {
  it('goes through its rounds to the end, and says at each point what comes next', () => {
    const journal = [created, started, baseline, ...wholeRound(1), ...wholeRound(2), { type: 'run-finished' } as const];
    const actions: string[] = [];
    let state: RunState | null = null;
    for (const event of journal) {
      state = applyRunEvent(state, event);
      actions.push(nextAction(state).do);
    }
    expect(actions).toEqual([
      'wait-for-clients',
      'evaluate-baseline',
      'configure-round',
      ...['collect-updates', 'collect-updates', 'collect-updates', 'aggregate', 'evaluate', 'checkpoint', 'configure-round'],
      ...['collect-updates', 'collect-updates', 'collect-updates', 'aggregate', 'evaluate', 'checkpoint', 'finish'],
      'nothing',
    ]);
    expect(state?.phase).toBe('finished');
    expect(state?.parameters).toEqual(blob(2));
    expect(state?.rounds[1]!.participants.get('b')!.outcome).toMatchObject({ update: blob(2), control: blob(7) });
  });

  it('survives the journal being written out and read back', () => {
    const journal = [created, started, baseline, ...wholeRound(1)];
    const read = journal.map((event) => runEventSchema.parse(JSON.parse(JSON.stringify(event))));
    expect(replay(read)).toEqual(replay(journal));
  });

  it.each([
    ['an update counted twice', [...prefix(), configured(1), accepted(1, 'a'), accepted(1, 'a')]],
    ['an update from a client without a part in the round', [...prefix(), configured(1), accepted(1, 'z')]],
    ['an update after the round closed', [...prefix(), configured(1), accepted(1, 'a'), closed(1), accepted(1, 'b')]],
    ['an update for another round', [...prefix(), configured(1), accepted(2, 'a')]],
    ['a change to a finished round', [...prefix(), ...wholeRound(1), aggregated(1)]],
    ['a round left out', [...prefix(), configured(2)]],
    ['a round before the baseline', [created, started, configured(1)]],
    ['a client assigned twice', [...prefix(), configured(1, ['a', 'a'])]],
    ['an early finish', [...prefix(), ...wholeRound(1), { type: 'run-finished' } as const]],
    ['anything after the end', [...prefix(), { type: 'run-stopped', reason: 'x' } as const, configured(1)]],
    ['a second start', [created, started, started]],
    ['anything before the run exists', [started]],
  ])('refuses %s', (_what, journal) => {
    expect(() => replay(journal)).toThrow(IllegalTransitionError);
  });

  it('closes a round early with the updates that it wants: who has not answered was not needed, and cannot answer any more', () => {
    const asked: RunEvent[] = [...prefix(), { ...configured(1, ['a', 'b', 'c']), wanted: 2 } as RunEvent, accepted(1, 'c')];
    const enough: RunEvent = { type: 'round-closed', round: 1, reason: 'enough' };
    expect(() => replay([...asked, enough])).toThrow('without the updates that it wants');
    const round = replay([...asked, accepted(1, 'a'), enough])!.rounds[0]!;
    expect([...round.participants].map(([id, { outcome }]) => [id, outcome.state])).toEqual([['a', 'accepted'], ['b', 'unneeded'], ['c', 'accepted']]);
    expect(() => replay([...asked, accepted(1, 'a'), enough, accepted(1, 'b')])).toThrow(IllegalTransitionError);
    expect(() => replay([...prefix(), configured(1), accepted(1, 'a'), accepted(1, 'b'), enough])).toThrow(IllegalTransitionError);
  });

  it('does not wait for a client that left, and takes it back while the round is open', () => {
    const left: RunEvent = { type: 'participant-left', round: 1, clientId: 'a' };
    const back: RunEvent = { type: 'participant-returned', round: 1, clientId: 'a' };
    const open = [...prefix(), configured(1), accepted(1, 'b')];
    expect(allHeard(replay([...open, left])!.rounds[0]!)).toBe(true);
    expect(() => replay([...open, left, accepted(1, 'a')])).toThrow('client a is left already');
    expect(replay([...open, left, back, accepted(1, 'a')])!.rounds[0]!.participants.get('a')!.outcome.state).toBe('accepted');
    expect(() => replay([...open, back])).toThrow(IllegalTransitionError);
    expect(() => replay([...open, left, closed(1), back])).toThrow(IllegalTransitionError);
  });

  it('stops where it stands when its end is asked for, whatever the phase, and a second request changes nothing', () => {
    const stop: RunEvent = { type: 'run-stop-requested', reason: 'enough' };
    const journal = [created, started, baseline, ...wholeRound(1), configured(2)];
    for (let length = 1; length <= journal.length; length++) {
      const state = replay([...journal.slice(0, length), stop])!;
      expect(nextAction(state)).toEqual({ do: 'stop', reason: 'enough' });
      expect(applyRunEvent(state, { ...stop, reason: 'again' })).toBe(state);
    }
  });

  it('begins no round while it is paused, finishes the one that is open, and goes on where it was', () => {
    const pause: RunEvent = { type: 'run-paused', reason: 'paused by an operator' };
    const resume: RunEvent = { type: 'run-resumed', reason: 'resumed' };
    const journal = [created, started, baseline, ...wholeRound(1), ...wholeRound(2)];
    const actions = journal.map((_, at) => {
      const before = replay(journal.slice(0, at + 1))!;
      const paused = applyRunEvent(before, pause);
      expect(applyRunEvent(paused, { ...pause, reason: 'again' })).toBe(paused);
      expect(applyRunEvent(paused, resume)).toEqual(before);
      expect(nextAction(applyRunEvent(paused, { type: 'run-stop-requested', reason: 'x' })).do).toBe('stop');
      return [nextAction(before).do, nextAction(paused).do];
    });
    const rests = ['wait-for-clients', 'configure-round'];
    expect(actions.map(([, paused]) => paused)).toEqual(actions.map(([before]) => (rests.includes(before!) ? 'rest' : before)));
    // Events that were under way when it was paused still happen.
    expect(replay([...journal.slice(0, 5), pause, ...journal.slice(5, 10)])!.rounds[0]!.phase).toBe('done');
  });

  it('has no part of an excluded client in an open round, and leaves closed rounds as they are', () => {
    const exclude: RunEvent = { type: 'client-excluded', clientId: 'a', reason: 'excluded by an operator' };
    const outcomeOf = (journal: readonly RunEvent[]): unknown => replay([...prefix(), ...journal])!.rounds[0]!.participants.get('a')!.outcome;
    const out = { state: 'refused', code: CLIENT_EXCLUDED, message: 'excluded by an operator' };
    expect(outcomeOf([configured(1), exclude])).toEqual(out);
    expect(outcomeOf([configured(1), accepted(1, 'a'), exclude])).toEqual(out);
    expect(outcomeOf([configured(1), { type: 'participant-left', round: 1, clientId: 'a' }, exclude])).toEqual(out);
    expect(outcomeOf([configured(1), accepted(1, 'a'), accepted(1, 'b'), closed(1), exclude])).toMatchObject({ state: 'accepted' });
    expect(() => outcomeOf([configured(1), exclude, accepted(1, 'a')])).toThrow(IllegalTransitionError);
    const readmitted = replay([...prefix(), configured(1), exclude, { type: 'client-readmitted', clientId: 'a', reason: 'readmitted' }])!;
    expect([...readmitted.barred]).toEqual([]);
    expect(readmitted.rounds[0]!.participants.get('a')!.outcome).toEqual(out);
  });

  it('is complete before its last round only for a stated reason, and never in the middle of a round', () => {
    const early: RunEvent = { type: 'run-finished', early: 'the privacy budget is spent' };
    expect(replay([...prefix(), ...wholeRound(1), early])).toMatchObject({ phase: 'finished', ending: { code: 'FINISHED_EARLY' } });
    expect(() => replay([...prefix(), configured(1), early])).toThrow(IllegalTransitionError);
  });

  it('goes on with the next round when one is skipped, parameters unchanged', () => {
    const state = replay([
      ...prefix(),
      configured(1),
      { type: 'update-refused', round: 1, clientId: 'a', code: 'NAN', message: 'NaN' },
      { type: 'round-closed', round: 1, reason: 'deadline' },
      { type: 'round-skipped', round: 1, reason: 'no updates' },
    ])!;
    expect(nextAction(state)).toEqual({ do: 'configure-round', round: 2 });
    expect(state.parameters).toEqual(blob(0));
  });

  it('keeps its invariants under random repeats, reorderings and late arrivals', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = new Random(seed);
        const pool = [created, started, baseline, ...wholeRound(1), ...wholeRound(2), { type: 'run-finished' } as const];
        let state: RunState | null = null;
        let next = 0;
        for (let step = 0; step < 200 && next < pool.length; step++) {
          // Half the time the right event, half the time any other: repeated, early or late.
          const index = random.below(2) === 0 ? next : random.below(pool.length);
          const before: RunState | null = state;
          try {
            state = applyRunEvent(state, pool[index]!);
          } catch (error) {
            expect(error).toBeInstanceOf(IllegalTransitionError);
            expect(state).toBe(before);
            continue;
          }
          if (index === next) next++;
          else pool.splice(index, 1); // an order that the rules allow, e.g. b's update before a's
          for (const [position, finished] of (before?.rounds ?? []).entries()) {
            if (finished.phase === 'done') expect(state.rounds[position]).toBe(finished);
          }
          expect(state.rounds.map(({ round }) => round)).toEqual(state.rounds.map((_, position) => position + 1));
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('round helpers', () => {
  it('knows when every client has been heard', () => {
    const half = replay([...prefix(), configured(1), accepted(1, 'a')])!;
    expect(allHeard(half.rounds[0]!)).toBe(false);
    expect(allHeard(applyRunEvent(half, accepted(1, 'b')).rounds[0]!)).toBe(true);
  });

  it('does periodic work on time and always in the last round', () => {
    expect([1, 2, 3, 4, 5].filter((round) => isDue(round, 2, 5))).toEqual([2, 4, 5]);
  });
});

function prefix(): RunEvent[] {
  return [created, started, baseline];
}
