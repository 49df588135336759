import { encodeParameters, replay } from '@zk0/core';
import { readParameters } from '@zk0/storage';
import { describe, expect, it } from 'vitest';
import { Puppet, testFederations, type TestFederation } from './harness.ts';
import { config, localModel, numbers, until } from './two-numbers.ts';

const { federation } = testFederations();
const operator = { role: 'operator', name: 'an operator' } as const;
const update = (a: number, b: number): Uint8Array => encodeParameters(numbers(a, b));
const outcomes = async (made: TestFederation, runId: string): Promise<Record<string, string>[]> =>
  (await made.state(runId)).rounds.map(({ participants }) => Object.fromEntries([...participants].map(([id, { outcome }]) => [id, outcome.state])));

/** Parameters of a run that goes through, with or without a pause in its first round. */
async function parametersOf(made: TestFederation, runId: string): Promise<number[]> {
  const { parameters } = await made.state(runId);
  return [...(await readParameters(await made.blobs.verifiedFile(parameters!))).get('w')!.data];
}

describe('a run that is paused', () => {
  it('finishes its open round, lets the next run go first, outlives a restart, and ends as if it had not been paused', async () => {
    const made = await federation();
    const [a, b] = [await new Puppet(made, 'a').join(), await new Puppet(made, 'b').join()];
    const runId = await made.coordinator.submit(config({ rounds: 2, minClients: 2 }));
    const [taskA, taskB] = [await a.task(), await b.task()];
    await made.coordinator.changeRun(operator, { change: 'pause' });
    expect((await made.state(runId)).paused).toBe('paused by an operator');
    await made.coordinator.result(a.principal, await a.answer(taskA, update(1, 1)));
    await made.coordinator.result(b.principal, await b.answer(taskB, update(3, 1)));
    await made.reaches(runId, ({ rounds }) => rounds[0]?.phase === 'done');

    // It is nobody's turn any more: another run is driven to its end.
    const second = await made.coordinator.submit(config({ rounds: 1, minClients: 2 }));
    const [other, another] = [await a.task(), await b.task()];
    expect([other.runId, another.runId]).toEqual([second, second]);
    // A result that comes too late for the paused run is told so, and not to try again.
    expect(await made.coordinator.result(a.principal, { ...(await a.answer(taskA, update(9, 9))), round: 1 })).toMatchObject({ status: 'late' });
    await made.coordinator.result(a.principal, await a.answer(other, update(1, 1)));
    await made.coordinator.result(b.principal, await b.answer(another, update(1, 1)));
    expect((await made.ends(second)).phase).toBe('finished');
    await until(async () => (await made.coordinator.overview()).current === null, 'no run is driven');
    expect((await made.coordinator.overview()).runs[0]).toMatchObject({ runId, phase: 'running', paused: 'paused by an operator', isResting: true });

    await made.restart();
    await Promise.all([a.join(), b.join()]);
    expect((await made.coordinator.overview()).current).toBeNull();
    expect((await made.state(runId)).rounds).toHaveLength(1);

    // Asked for twice, it goes on once.
    await made.coordinator.changeRun(operator, { change: 'resume' });
    await made.coordinator.changeRun(operator, { change: 'resume', runId });
    const [lastA, lastB] = [await a.task(), await b.task()];
    expect(lastA).toMatchObject({ runId, round: 2 });
    await made.coordinator.result(a.principal, await a.answer(lastA, update(5, 1)));
    await made.coordinator.result(b.principal, await b.answer(lastB, update(7, 1)));
    expect((await made.ends(runId)).phase).toBe('finished');
    expect(await parametersOf(made, runId)).toEqual([6, 1]);
    const entries = await made.ledger.entries(runId);
    expect(entries.map(({ event }) => event.type).filter((type) => /paused|resumed/.test(type))).toEqual(['run-paused', 'run-resumed']);
    expect(replay(entries.map(({ event }) => event))).toEqual(await made.state(runId));
  });

  it('waits for clients no longer, and can be stopped', async () => {
    const made = await federation();
    const runId = await made.coordinator.submit(config({ rounds: 2, minClients: 2 }));
    await until(async () => (await made.coordinator.overview()).waiting !== null, 'it waits');
    await made.coordinator.changeRun(operator, { change: 'pause', runId });
    await until(async () => (await made.coordinator.overview()).current === null, 'no run is driven');
    await made.coordinator.stop('enough', runId);
    expect(await made.ends(runId)).toMatchObject({ phase: 'stopped' });
    await expect(made.coordinator.changeRun(operator, { change: 'resume', runId })).rejects.toMatchObject({ code: 'RUN_ENDED' });
    await expect(made.coordinator.changeRun(operator, { change: 'pause' })).rejects.toMatchObject({ code: 'RUN_UNKNOWN' });
    await expect(made.coordinator.changeRun(operator, { change: 'pause', runId: 'nonsense' })).rejects.toMatchObject({ code: 'RUN_UNKNOWN' });
  });
});

describe('a client that is excluded', () => {
  it('has no part in the open round, whatever it has sent, gets no work until it is readmitted, and is told why', async () => {
    const made = await federation();
    const [a, b, c] = [await new Puppet(made, 'a').join(), await new Puppet(made, 'b').join(), await new Puppet(made, 'c').join()];
    const runId = await made.coordinator.submit(config({ rounds: 3, minClients: 1 }));
    const [taskA, taskB, taskC] = [await a.task(), await b.task(), await c.task()];
    expect(await made.coordinator.result(b.principal, await b.answer(taskB, update(100, 100)))).toEqual({ status: 'accepted' });
    // One whose update counts already, one that is still at work.
    await made.coordinator.changeRun(operator, { change: 'exclude', runId, clientId: 'b' });
    await made.coordinator.changeRun(operator, { change: 'exclude', runId, clientId: 'c' });
    expect(await made.coordinator.heartbeat(c.principal, { progress: { taskId: taskC.taskId, phase: 'training', step: 1, totalSteps: 2 } })).toEqual({
      continue: false, notice: 'it is excluded from this run: excluded by an operator',
    });
    expect(await made.coordinator.result(c.principal, await c.answer(taskC, update(100, 100)))).toMatchObject({ status: 'rejected', code: 'CLIENT_EXCLUDED' });
    await expect(made.coordinator.authorizeDownload(c.principal, taskC.parameters.hash)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await made.coordinator.result(a.principal, await a.answer(taskA, update(2, 4)));
    await made.reaches(runId, ({ rounds }) => rounds[0]?.phase === 'done');
    expect(await parametersOf(made, runId)).toEqual([2, 4]);

    // Also after a restart, and as one that joins anew.
    await made.restart();
    await Promise.all([a.join(), b.join(), c.join()]);
    const second = await a.task();
    expect(second.round).toBe(2);
    await made.coordinator.changeRun(operator, { change: 'readmit', runId, clientId: 'b' });
    await made.coordinator.result(a.principal, await a.answer(second, update(1, 1)));
    const [thirdA, thirdB] = [await a.task(), await b.task()];
    expect(thirdB.round).toBe(3);
    await made.coordinator.result(a.principal, await a.answer(thirdA, update(1, 1)));
    await made.coordinator.result(b.principal, await b.answer(thirdB, update(1, 1)));
    await made.ends(runId);
    expect(await outcomes(made, runId)).toEqual([{ a: 'accepted', b: 'refused', c: 'refused' }, { a: 'accepted' }, { a: 'accepted', b: 'accepted' }]);
    expect(replay((await made.ledger.entries(runId)).map(({ event }) => event))).toEqual(await made.state(runId));
  });

  it('is named where a run waits for want of it', async () => {
    const made = await federation();
    await Promise.all([new Puppet(made, 'a').join(), new Puppet(made, 'b').join()]);
    const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 3 }));
    await made.coordinator.changeRun(operator, { change: 'exclude', runId, clientId: 'b' });
    await until(async () => (await made.coordinator.overview()).waiting === '3 clients are needed, 1 is there that can take part; client b is excluded', 'it says so');
  });

  it('has to be one that is known', async () => {
    const made = await federation();
    const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 1 }));
    await expect(made.coordinator.changeRun(operator, { change: 'exclude', runId, clientId: 'nobody' })).rejects.toMatchObject({ code: 'CLIENT_UNKNOWN' });
  });
});

describe('how updates compare', () => {
  it('is recorded by client: those that agree near 1, one that works against the others below 0', async () => {
    const made = await federation();
    for (const [id, target] of [['a', [4, 4]], ['b', [4, 5]], ['c', [-4, -3]]] as const) await made.join(id, localModel(id, target));
    const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 3 }));
    const [round] = (await made.ends(runId)).rounds;
    const { a, b, c } = round!.aggregate!.cosines as { a: number; b: number; c: number };
    // The mean moves by (2/3, 1): its cosine with (2, 2) is 5/√26, with (2, 2.5) 23/√533, with (−2, −1.5) −17/(5√13).
    expect(a).toBeCloseTo(5 / Math.sqrt(26), 6);
    expect(b).toBeCloseTo(23 / Math.sqrt(533), 6);
    expect(c).toBeCloseTo(-17 / (5 * Math.sqrt(13)), 6);
  });

  it('is not recorded in private runs, nor of one update alone', async () => {
    const made = await federation();
    await made.join('a', localModel('a', [4, 4]));
    const alone = await made.coordinator.submit(config({ rounds: 1, minClients: 1 }));
    expect((await made.ends(alone)).rounds[0]!.aggregate).not.toHaveProperty('cosines');
    await made.join('b', localModel('b', [4, 5]));
    const secret = await made.coordinator.submit(config({ rounds: 1, minClients: 2, strategy: { name: 'dp-fixed', noiseMultiplier: 1, clippingNorm: 1 } }));
    const state = await made.ends(secret);
    expect([state.phase, state.rounds[0]!.phase]).toEqual(['finished', 'done']);
    expect(state.rounds[0]!.aggregate).not.toHaveProperty('cosines');
  });
});
