import { describe, expect, it } from 'vitest';
import { runConfigSchema } from '../config/run-config.ts';
import { replay } from './apply.ts';
import { clientLoss } from './client-loss.ts';
import type { Evaluation, RunEvent } from './events.ts';
import { nextAction } from './next-action.ts';
import type { RunState } from './state.ts';
import { bestRound, parseStopRule, stopReason } from './stop-rule.ts';

const blob = (digit: number): { hash: string; byteLength: number } => ({ hash: String(digit % 10).repeat(64), byteLength: 8 });
const evaluation = (policyLoss: number): Evaluation => ({ policyLoss, totalSamples: 4, datasets: [] });

/** A run that has done a round for each of these held-out losses; null: that round was not evaluated. */
function after(stopWhen: string | undefined, heldOut: readonly (number | null)[], clientLosses = [0.5, 0.7]): RunState {
  const events: RunEvent[] = [
    { type: 'run-created', runId: 'r', config: runConfigSchema.parse({ rounds: 20, minClients: 1, stopWhen }) },
    { type: 'run-started', parameters: blob(0), context: {} },
    { type: 'round-evaluated', round: 0, evaluation: evaluation(1) },
  ];
  for (const [index, loss] of heldOut.entries()) {
    const round = index + 1;
    events.push(
      { type: 'round-configured', round, assignments: clientLosses.map((_, client) => ({ clientId: `c${client}`, instructions: {} })) },
      ...clientLosses.map((policy, client): RunEvent => ({
        type: 'update-accepted', round, clientId: `c${client}`, update: blob(round), numExamples: 3, metrics: { loss: policy + 1, policy_loss: policy },
      })),
      { type: 'round-closed', round, reason: 'all-in' },
      {
        type: 'round-aggregated', round, parameters: blob(round), strategyState: null, strategyScalars: {}, metrics: {},
        excluded: [{ clientId: 'c1', code: 'KRUM', reason: 'far from the others' }],
      },
      { type: 'round-evaluated', round, evaluation: loss === null ? null : evaluation(loss) },
      { type: 'round-checkpointed', round, path: null },
    );
  }
  return replay(events)!;
}

describe('a stop rule', () => {
  it('is read with or without spaces, and may have several conditions', () => {
    expect(parseStopRule('heldOutLoss<0.8')).toEqual([{ metric: 'heldOutLoss', comparison: '<', value: 0.8 }]);
    expect(parseStopRule(' heldOutLoss <= 8e-1  or noImprovement>=5 ')).toEqual([
      { metric: 'heldOutLoss', comparison: '<=', value: 0.8 },
      { metric: 'noImprovement', comparison: '>=', value: 5 },
    ]);
  });

  it.each([
    ['', 'not a condition'],
    ['heldOutLoss', 'not a condition'],
    ['heldOutLoss<', 'not a condition'],
    ['heldOutLoss<low', 'not a condition'],
    ['heldOutLoss<0.8 and clientLoss<1', 'not a condition'],
    ['loss<0.8', 'there is no loss; the values are heldOutLoss, clientLoss, noImprovement'],
    ['noImprovement<5', 'noImprovement takes > or >='],
    ['noImprovement>=0', 'noImprovement takes > or >='],
    ['heldOutLoss<0.8 or ', 'not a condition'],
  ])('is refused when the run is submitted: %j', (stopWhen, message) => {
    expect(() => parseStopRule(stopWhen)).toThrow(message);
    expect(runConfigSchema.safeParse({ stopWhen }).success).toBe(false);
  });

  it('holds for the newest evaluated round, and not before', () => {
    expect(stopReason(after('heldOutLoss<0.8', []))).toBeNull();
    expect(stopReason(after('heldOutLoss<0.8', [0.9]))).toBeNull();
    expect(stopReason(after('heldOutLoss<0.8', [0.7, null]))).toBeNull();
    expect(stopReason(after('heldOutLoss<0.8', [0.9, 0.75]))).toBe('heldOutLoss is 0.75 after round 2, and the run was to stop when heldOutLoss<0.8');
  });

  it('knows the client loss of the updates that count, without the proximal term', () => {
    expect(stopReason(after('clientLoss<0.5', [0.9]))).toBeNull();
    expect(stopReason(after('clientLoss<=0.5', [0.9]))).toContain('clientLoss is 0.5 after round 1');
  });

  it('counts evaluations since the lowest loss, that of the initial model among them', () => {
    expect(stopReason(after('noImprovement>=2', [0.9, 0.8, 0.85]))).toBeNull();
    expect(stopReason(after('noImprovement>=2', [0.9, 0.8, 0.85, null]))).toBeNull();
    expect(stopReason(after('noImprovement>=2', [0.9, 0.8, 0.85, null, 0.8]))).toContain('noImprovement is 2 after round 5');
    expect(stopReason(after('noImprovement>=2', [1.1, 1.2]))).toContain('noImprovement is 2 after round 2');
  });

  it('finishes the run in place of its next round, and without a rule it goes on', () => {
    expect(nextAction(after('heldOutLoss<0.8', [0.7]))).toMatchObject({ do: 'finish', early: expect.stringContaining('heldOutLoss<0.8') as string });
    expect(nextAction(after(undefined, [0.7]))).toEqual({ do: 'configure-round', round: 2 });
  });
});

describe('the best round', () => {
  it('is the earliest with the lowest held-out loss, the initial model left out', () => {
    expect(bestRound(after(undefined, []))).toBeUndefined();
    expect(bestRound(after(undefined, [1.5, null, 1.2, 1.2, 1.3]))?.round).toBe(3);
  });
});

describe('the client loss', () => {
  it('is the policy’s, or what there is', () => {
    expect([clientLoss({ loss: 2, policy_loss: 1 }), clientLoss({ loss: 2 }), clientLoss({ lr: 1 })]).toEqual([1, 2, undefined]);
  });
});
