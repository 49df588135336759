import { describe, expect, it } from 'vitest';
import { History } from '../testing/history.ts';
import { DETAILED_ROUNDS, MAX_ROUNDS, reduceRun, reduceRunProgress } from './reduce-run.ts';

describe('a run, folded from its history', () => {
  it('has its configuration, datasets and the evaluation of the initial model', () => {
    const { view } = new History().created({ seed: 7, policy: 'tiny' }).started();
    expect(view).toMatchObject({ runId: 'run-1', phase: 'running', position: 3, config: { seed: 7, policy: 'tiny' } });
    expect(view.datasets).toEqual([{ role: 'train', clientId: 'a', name: 'set-a' }, { role: 'train', clientId: 'b', name: 'set-b' }, { role: 'held-out', name: 'others' }]);
    expect(view.rounds).toMatchObject([{ round: 0, phase: 'done', evaluation: { loss: 1, datasets: [{ name: 'others', loss: 1 }] } }]);
  });

  it('has every round with times, losses and why learning rates changed', () => {
    const history = new History().created().started().configured(1, ['a', 'b'], { reasons: ['the loss jumped'] });
    history.accepted(1, 'a', 0.5, 3000).accepted(1, 'b', 0.7, 2000).closed(1).aggregated(1).evaluated(1, 0.8).checkpointed(1, 'out/1');
    const [, round] = history.view.rounds;
    expect(round).toMatchObject({
      phase: 'done', asked: 2, accepted: 2, learningRate: 1e-4, proximalMu: 0.01, batchSize: 16, reasons: ['the loss jumped'], updateNorm: 0.5, epsilon: 0.25, delta: 1e-5, noiseMultiplier: 1.5, clippingNorm: 0.8, closedBecause: 'all-in', checkpoint: 'out/1',
    });
    expect(round!.clientLoss).toBeCloseTo(0.6);
    expect(round!.closedAt! - round!.startedAt).toBe(6000);
    expect(round!.participants!.get('a')).toMatchObject({ state: 'accepted', examples: 100, metrics: { loss: 0.5, updateNorm: 0.3, downloadSeconds: 1, trainSeconds: 4, uploadSeconds: 0.5 } });
  });

  it('counts what each client did', () => {
    const { view } = new History().created().started().round(1).round(2);
    expect(view.tallies.get('a')).toEqual({ clientId: 'a', rounds: 2, refused: 0, bytesUp: 20, bytesDown: 40, samplesPerSecond: 200, losses: [1, 1, 2, 0.5] });
  });

  it('tells apart why an update does not count', () => {
    const history = new History().created().started().configured(1, ['a', 'b', 'c', 'd', 'e'], { wanted: 2 });
    history.add({ type: 'update-refused', round: 1, clientId: 'a', code: 'X', message: 'it holds NaN' }).add({ type: 'participant-left', round: 1, clientId: 'b' });
    history.accepted(1, 'c', 1).accepted(1, 'd', 1).closed(1, 'enough').aggregated(1, ['c']);
    const { participants, refused, wanted } = history.view.rounds[1]!;
    expect([...participants!.values()].map(({ clientId, state, reason }) => [clientId, state, reason])).toEqual([
      ['a', 'refused', 'it holds NaN'], ['b', 'unneeded', undefined], ['c', 'excluded', 'far from the others'], ['d', 'accepted', undefined], ['e', 'unneeded', undefined],
    ]);
    expect([refused, wanted]).toEqual([1, 2]);
  });

  it('says who dropped out of secure aggregation, and who was not needed', () => {
    const keys = { encryption: '', masking: '', seedHash: '' };
    const history = new History().created().started().configured(1, ['a', 'b', 'c', 'd'], { wanted: 2 });
    history.add({ type: 'secure-keys-advertised', round: 1, clientId: 'a', keys });
    history.add({ type: 'secure-stage-opened', round: 1, stage: 'shares', members: ['a', 'b', 'c'], graph: { seed: 's', degree: 2 } });
    history.accepted(1, 'a', 1).accepted(1, 'b', 1).add({ type: 'secure-stage-opened', round: 1, stage: 'unmask', members: ['a', 'b'] });
    const { participants, refused } = history.view.rounds[1]!;
    expect([...participants!.values()].map(({ clientId, state, reason }) => [clientId, state, reason])).toEqual([
      ['a', 'accepted', undefined], ['b', 'accepted', undefined], ['c', 'unneeded', undefined], ['d', 'refused', 'it dropped out of the round'],
    ]);
    expect(refused).toBe(1);
  });

  it('pauses and goes on', () => {
    const history = new History().created().started().add({ type: 'run-paused', reason: 'paused by an operator' });
    expect(history.view.paused).toBe('paused by an operator');
    expect(history.add({ type: 'run-resumed', reason: 'resumed by an operator' }).view).not.toHaveProperty('paused');
  });

  it('counts nothing of a client that is excluded in an open round, and leaves rounds that are closed', () => {
    const excluded = { type: 'client-excluded', clientId: 'a', reason: 'excluded by an operator' } as const;
    const open = new History().created().started().configured(1).accepted(1, 'a', 3).accepted(1, 'b', 1).add(excluded);
    expect(open.view.rounds[1]).toMatchObject({ accepted: 1, refused: 1, clientLoss: 1 });
    expect(open.view.rounds[1]!.participants!.get('a')).toMatchObject({ state: 'refused', reason: 'excluded by an operator' });
    expect(open.view.barred).toEqual(new Map([['a', 'excluded by an operator']]));
    expect(open.add({ type: 'client-readmitted', clientId: 'a', reason: 'readmitted' }).view.barred.size).toBe(0);
    const closed = new History().created().started().configured(1).accepted(1, 'a', 3).accepted(1, 'b', 1).closed(1).add(excluded);
    expect(closed.view.rounds[1]).toMatchObject({ accepted: 2, refused: 0 });
  });

  it('says of each client how its update compares with the mean', () => {
    const history = new History().created().started().configured(1).accepted(1, 'a', 3).accepted(1, 'b', 1).closed(1).aggregated(1, [], { a: -0.5, b: 0.9 });
    expect([...history.view.rounds[1]!.participants!.values()].map(({ cosine }) => cosine)).toEqual([-0.5, 0.9]);
  });

  it('gives a client that came back its part again', () => {
    const history = new History().created().started().configured(1).add({ type: 'participant-left', round: 1, clientId: 'a' }).add({ type: 'participant-returned', round: 1, clientId: 'a' });
    expect(history.view.rounds[1]!.participants!.get('a')!.state).toBe('assigned');
  });

  it('ends as finished, failed or stopped, with what was said and the last checkpoint', () => {
    const done = (): History => new History().created({ rounds: 2 }).started().round(1).configured(2).closed(2, 'deadline').add({ type: 'round-skipped', round: 2, reason: 'too few updates' });
    expect(done().add({ type: 'run-finished', checkpoint: 'out/1' }).view).toMatchObject({ phase: 'finished', rounds: [{}, { checkpoint: 'out/1' }, { phase: 'skipped', skippedBecause: 'too few updates' }] });
    expect(done().add({ type: 'run-failed', code: 'X', message: 'it broke' }).view).toMatchObject({ phase: 'failed', ending: 'it broke' });
    const stopped = done().add({ type: 'run-stop-requested', reason: 'enough' });
    expect(stopped.view.stopRequested).toBe('enough');
    expect(stopped.add({ type: 'run-stopped', reason: 'enough' }).view).toMatchObject({ phase: 'stopped', ending: 'enough' });
  });

  it('takes an entry once, and none of another run', () => {
    const { view, entries } = new History().created().started().round(1);
    for (const entry of entries) expect(reduceRun(view, entry)).toBe(view);
    expect(reduceRun(view, { ...entries.at(-1)!, runId: 'another', position: 99 })).toBe(view);
    expect(reduceRun(null, entries.at(-1)!)).toBeNull();
  });

  it('keeps details of the newest rounds, and of long runs fewer and fewer old rounds', () => {
    const history = new History().created({ rounds: 100_000 }).started();
    for (let round = 1; round <= MAX_ROUNDS + 10; round++) history.round(round, ['a'], round === 3 ? 'out/3' : null);
    const { rounds, tallies } = history.view;
    expect(rounds.length).toBeLessThanOrEqual(MAX_ROUNDS);
    expect(rounds.at(-1)!.round).toBe(MAX_ROUNDS + 10);
    expect(rounds.filter(({ participants }) => participants !== null)).toHaveLength(DETAILED_ROUNDS);
    expect(rounds.find(({ round }) => round === 3)?.checkpoint).toBe('out/3');
    expect(tallies.get('a')!.losses.length / 2).toBe(MAX_ROUNDS + 10);
  });

  it('keeps a bounded number of losses of all clients together', () => {
    const clients = Array.from({ length: 1000 }, (_, index) => `c${index}`);
    const history = new History().created({ rounds: 100 }).started(clients);
    let { view } = history;
    for (let round = 1; round <= 90; round++) {
      const next = new History();
      next.configured(round, clients.slice(0, 1)).accepted(round, 'c0', 1 / round);
      for (const entry of next.entries) view = reduceRun(view, { ...entry, position: view.position + 1 })!;
      // As many others as there are already took part.
      if (round === 1) view = { ...view, tallies: new Map([...clients.map((clientId) => [clientId, { ...view.tallies.get('c0')!, clientId }] as const)]) };
    }
    const { losses } = view.tallies.get('c0')!;
    expect(losses.length / 2).toBeLessThanOrEqual(40);
    expect(losses.slice(-2)).toEqual([90, 1 / 90]);
  });

  it('notes when a client that has not answered began each kind of work', () => {
    const history = new History().created().started().configured(1);
    const report = { type: 'progress', runId: 'run-1', clientId: 'a', round: 1, step: 1, totalSteps: 2 } as const;
    let run = reduceRunProgress(history.view, { ...report, at: 5, phase: 'downloading' });
    run = reduceRunProgress(run, { ...report, at: 6, phase: 'downloading' });
    run = reduceRunProgress(run, { ...report, at: 9, phase: 'training' });
    expect(run.rounds[1]!.participants!.get('a')!.phases).toEqual([{ phase: 'downloading', at: 5 }, { phase: 'training', at: 9 }]);
    expect(reduceRunProgress(run, { ...report, at: 9, phase: 'training', round: 2 })).toBe(run);
    expect(reduceRunProgress(run, { ...report, at: 9, phase: 'training', clientId: 'constructor' })).toBe(run);
  });
});
