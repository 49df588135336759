import { describe, expect, it } from 'vitest';
import { runConfigSchema } from '../config/run-config.ts';
import { applyRunEvent, replay } from './apply.ts';
import { IllegalTransitionError } from './illegal-transition.ts';
import type { Evaluation, RunEvent } from './events.ts';
import { allHeard, hasEnough, nextAction } from './next-action.ts';
import { isFinal } from './state.ts';

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
const refused = (round: number, clientId: string): RunEvent => ({ type: 'update-refused', round, clientId, code: 'X', message: 'x' });
const skipped = (round: number): RunEvent => ({ type: 'round-skipped', round, reason: 'too few' });
const evaluated = (round: number): RunEvent => ({ type: 'round-evaluated', round, evaluation: null });
const checkpointed = (round: number): RunEvent => ({ type: 'round-checkpointed', round, path: null });
const closed = (round: number): RunEvent => ({ type: 'round-closed', round, reason: 'all-in' });
const aggregated = (round: number): Extract<RunEvent, { type: 'round-aggregated' }> => ({
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
  evaluated(round),
  checkpointed(round),
];

describe('the transitions of a run', () => {
  const ends: RunEvent[] = [
    { type: 'run-stopped', reason: 'x' },
    { type: 'run-failed', code: 'X', message: 'x' },
    { type: 'run-finished' },
  ];
  it.each(ends)('takes no event at all after $type', (end) => {
    const journal = end.type === 'run-finished' ? [...prefix(), ...wholeRound(1), ...wholeRound(2), end] : [...prefix(), configured(1), accepted(1, 'a'), end];
    const ended = replay(journal)!;
    expect(isFinal(ended)).toBe(true);
    expect(nextAction(ended)).toEqual({ do: 'nothing' });
    for (const event of [created, started, baseline, ...wholeRound(1), configured(2), accepted(1, 'b'), refused(1, 'b'), closed(1), aggregated(1), skipped(1), ...ends]) {
      expect(() => applyRunEvent(ended, event)).toThrow(IllegalTransitionError);
    }
  });

  it('configures no round while one is open, whatever its phase, and the right one after it', () => {
    let state = replay(prefix())!;
    for (const event of wholeRound(1)) {
      if (event.type !== 'round-configured') {
        for (const round of [1, 2, 3]) expect(() => applyRunEvent(state, configured(round))).toThrow(IllegalTransitionError);
      }
      state = applyRunEvent(state, event);
    }
    for (const round of [0, 1, 3]) expect(() => applyRunEvent(state, configured(round))).toThrow(IllegalTransitionError);
    expect(applyRunEvent(state, configured(2)).rounds).toHaveLength(2);
  });

  it('finishes after its last round alone, and only when that is done or skipped', () => {
    const finished: RunEvent = { type: 'run-finished' };
    let state = replay(prefix())!;
    for (const event of [...wholeRound(1), ...wholeRound(2)]) {
      expect(() => applyRunEvent(state, finished)).toThrow(IllegalTransitionError);
      state = applyRunEvent(state, event);
    }
    expect(applyRunEvent(state, finished).phase).toBe('finished');
    const skippedLast = replay([...prefix(), ...wholeRound(1), configured(2), closed(2), skipped(2)])!;
    expect(nextAction(skippedLast)).toEqual({ do: 'finish' });
    expect(applyRunEvent(skippedLast, finished).phase).toBe('finished');
    expect(() => applyRunEvent(replay([created]), finished)).toThrow(IllegalTransitionError);
    expect(() => applyRunEvent(replay([created, started]), finished)).toThrow(IllegalTransitionError);
  });

  it('takes each step of a round in its phase alone', () => {
    const journal = [...prefix(), ...wholeRound(1)];
    const steps: RunEvent[] = [accepted(1, 'a'), refused(1, 'a'), closed(1), aggregated(1), skipped(1), evaluated(1), checkpointed(1)];
    const allowed: Readonly<Record<string, readonly string[]>> = {
      training: ['update-accepted', 'update-refused', 'round-closed'],
      aggregating: ['round-aggregated', 'round-skipped'],
      evaluating: ['round-evaluated'],
      checkpointing: ['round-checkpointed'],
      done: [],
    };
    for (let length = 4; length <= journal.length; length++) {
      const state = replay(journal.slice(0, length))!;
      const { phase, participants } = state.rounds.at(-1)!;
      for (const step of steps) {
        const isAnswered = step.type.startsWith('update-') && participants.get('a')!.outcome.state !== 'assigned';
        const isLegal = allowed[phase]!.includes(step.type) && !isAnswered;
        if (isLegal) expect(() => applyRunEvent(state, step)).not.toThrow();
        else expect(() => applyRunEvent(state, step), `${step.type} while ${phase}`).toThrow(IllegalTransitionError);
        // Never of another round.
        expect(() => applyRunEvent(state, { ...step, round: 2 } as RunEvent)).toThrow(IllegalTransitionError);
      }
    }
  });

  it('evaluates the baseline once, while it runs and before any round', () => {
    expect(() => replay([created, baseline])).toThrow(IllegalTransitionError);
    expect(() => replay([created, started, baseline, baseline])).toThrow(IllegalTransitionError);
    expect(() => replay([...prefix(), configured(1), baseline])).toThrow(IllegalTransitionError);
    expect(() => replay([created, configured(1)])).toThrow(IllegalTransitionError);
    expect(() => replay([created, created])).toThrow(IllegalTransitionError);
    // `null`: evaluated, and there was nothing to evaluate on.
    expect(nextAction(replay([created, started])!)).toEqual({ do: 'evaluate-baseline' });
    expect(nextAction(replay(prefix())!)).toEqual({ do: 'configure-round', round: 1 });
  });

  it('keeps what a strategy hands from round to round, and what the round brought', () => {
    const stateful = (round: number): RunEvent => ({
      ...aggregated(round),
      strategyState: blob(round + 3),
      strategyScalars: { step: round, clippingNorm: 0.5 / round },
      metrics: { loss: round },
      excluded: [{ clientId: 'b', code: 'NOT_CHOSEN', reason: 'far' }],
    });
    const rounds = [1, 2].flatMap((round) => wholeRound(round).map((event) => (event.type === 'round-aggregated' ? stateful(round) : event)));
    let state = replay([...prefix(), ...rounds.slice(0, 7)])!;
    expect(state).toMatchObject({ strategyState: blob(4), strategyScalars: { step: 1, clippingNorm: 0.5 }, parameters: blob(1) });
    for (const event of rounds.slice(7)) {
      if (event.type === 'round-aggregated') expect(state.strategyScalars).toEqual({ step: 1, clippingNorm: 0.5 });
      state = applyRunEvent(state, event);
    }
    expect(state).toMatchObject({ strategyState: blob(5), strategyScalars: { step: 2, clippingNorm: 0.25 }, parameters: blob(2) });
    expect(state.rounds[1]).toMatchObject({
      phase: 'done',
      closedBecause: 'all-in',
      aggregate: { parameters: blob(2), metrics: { loss: 2 }, excluded: [{ clientId: 'b', code: 'NOT_CHOSEN', reason: 'far' }] },
      evaluation: null,
      checkpoint: null,
    });
  });

  it('keeps what was measured and written, by whom and of how much', () => {
    const evaluation = (policyLoss: number): Evaluation => ({ policyLoss, totalSamples: 8, datasets: [{ name: 'held-out', policyLoss, samples: 8, actionDim: 6 }] });
    const state = replay([
      created,
      { type: 'run-started', parameters: blob(0), context: { policy: 'tiny' } },
      { type: 'round-evaluated', round: 0, evaluation: evaluation(3) },
      configured(1),
      { ...(accepted(1, 'a') as Extract<RunEvent, { type: 'update-accepted' }>), numExamples: 17, metrics: { loss: 0.5 } },
      { type: 'round-closed', round: 1, reason: 'deadline' },
      aggregated(1),
      { type: 'round-evaluated', round: 1, evaluation: evaluation(2) },
      { type: 'round-checkpointed', round: 1, path: 'models/checkpoint_round_1' },
    ])!;
    expect(state).toMatchObject({ runId: 'r', context: { policy: 'tiny' }, baseline: evaluation(3) });
    expect(state.rounds[0]).toMatchObject({ evaluation: evaluation(2), checkpoint: 'models/checkpoint_round_1', closedBecause: 'deadline' });
    const { instructions, outcome } = state.rounds[0]!.participants.get('a')!;
    expect([instructions, outcome]).toEqual([{}, { state: 'accepted', update: blob(1), numExamples: 17, metrics: { loss: 0.5 } }]);
  });

  it('leaves parameters and strategy state as they were in a skipped round', () => {
    const before = replay([...prefix(), ...wholeRound(1)])!;
    const after = replay([...prefix(), ...wholeRound(1), configured(2), refused(2, 'a'), closed(2), skipped(2)])!;
    const { parameters, strategyState, strategyScalars } = before;
    expect(after).toMatchObject({ parameters, strategyState, strategyScalars, phase: 'running' });
    expect(after.rounds[1]).toMatchObject({ phase: 'skipped', skippedBecause: 'too few' });
    expect(after.rounds[1]!.participants.get('a')!.outcome).toEqual({ state: 'refused', code: 'X', message: 'x' });
    expect(after.rounds[1]!.participants.get('b')!.outcome).toEqual({ state: 'assigned' });
  });

  it('has nobody answer for another round, twice, or after a refusal', () => {
    const open = [...prefix(), configured(1)];
    for (const [first, second] of [
      [refused(1, 'a'), accepted(1, 'a')],
      [accepted(1, 'a'), refused(1, 'a')],
      [refused(1, 'a'), refused(1, 'a')],
    ] as const) {
      expect(() => replay([...open, first, second])).toThrow(/round 1: client a is (accepted|refused) already/);
    }
    expect(() => replay([...open, refused(1, 'z')])).toThrow('client z has no part in it');
  });

  it('says why it ended', () => {
    expect(replay([...prefix(), { type: 'run-failed', code: 'DISK', message: 'gone' }])).toMatchObject({ phase: 'failed', ending: { code: 'DISK', message: 'gone' } });
    expect(replay([...prefix(), { type: 'run-stopped', reason: 'enough' }])).toMatchObject({ phase: 'stopped', ending: { code: 'STOPPED', message: 'enough' } });
  });
});

describe('a round', () => {
  it('knows when a round has what it wants: accepted updates alone count', () => {
    const open: RunEvent[] = [...prefix(), { ...configured(1, ['a', 'b', 'c']), wanted: 2 } as RunEvent];
    const has = (...events: RunEvent[]): boolean => hasEnough(replay([...open, ...events])!.rounds[0]!);
    expect(has()).toBe(false);
    expect(has(accepted(1, 'a'), refused(1, 'b'))).toBe(false);
    expect(has(accepted(1, 'a'), accepted(1, 'b'))).toBe(true);
    expect(has(accepted(1, 'a'), accepted(1, 'b'), accepted(1, 'c'))).toBe(true);
    expect(hasEnough(replay([...prefix(), configured(1), accepted(1, 'a'), accepted(1, 'b')])!.rounds[0]!)).toBe(false);
  });

  it('counts a refusal as heard', () => {
    expect(allHeard(replay([...prefix(), configured(1), accepted(1, 'a'), refused(1, 'b')])!.rounds[0]!)).toBe(true);
  });
});

function prefix(): RunEvent[] {
  return [created, started, baseline];
}
