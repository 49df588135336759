import { setTimeout as wait } from 'node:timers/promises';
import { CancelledError, Zk0Error } from '@zk0/core';
import { StorageError } from '@zk0/storage';
import { describe, expect, it } from 'vitest';
import { publicMessage, type LocalModel, type ParticipantStatus } from '../src/index.ts';
import { testFederations } from './harness.ts';
import { config, fitTwoNumbers, localModel, until } from './two-numbers.ts';

const { federation } = testFederations();

describe('a participant', () => {
  it('refuses what goes beyond its limits, and says which', async () => {
    const made = await federation();
    await made.join('a', localModel('a', [1, 1]));
    for (const [settings, message] of [
      [{ localSteps: 1001 }, 'the server asks for 1001 local steps, this client does at most 1000'],
      [{ batchSize: 65 }, 'the server asks for 65 samples per step, this client does at most 64'],
    ] as const) {
      const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 1, ...settings }));
      const state = await made.ends(runId);
      expect(state.ending?.message).toContain(message);
      expect(state.rounds[0]!.participants.get('a')!.outcome).toMatchObject({ state: 'refused', code: 'TASK_REFUSED' });
    }
  });

  it('tells the server why training failed, without the paths of its machine, and goes on', async () => {
    const made = await federation();
    const failures = [new Zk0Error('FILE_UNREADABLE', "cannot read '/home/anna/robot data/set/meta/info.json': damaged"), new TypeError('x of undefined in /home/anna')];
    await made.join('a', localModel('a', [1, 1], { fit: (task, global) => (failures.length > 0 ? Promise.reject(failures.shift()!) : Promise.resolve(fitTwoNumbers(task, global, [1, 1]))) }));
    const told: string[] = [];
    for (let run = 0; run < 3; run++) {
      const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 1 }));
      const { participants } = (await made.ends(runId)).rounds[0]!;
      const { outcome } = participants.get('a')!;
      told.push(outcome.state === 'refused' ? `${outcome.code}: ${outcome.message}` : outcome.state);
    }
    expect(told[0]).toBe("FILE_UNREADABLE: cannot read '…/info.json': damaged");
    expect(told.slice(1)).toEqual(['INTERNAL: the client failed; its own log says why', 'accepted']);
    expect(told.join()).not.toMatch(/anna|home/);
  });

  it('tries again when its own disk is full, and says so instead of failing the round', async () => {
    const made = await federation();
    let full = true;
    const statuses: ParticipantStatus['state'][] = [];
    const model = localModel('a', [1, 1], {
      fit: (task, global) => (full ? Promise.reject(new StorageError('DISK_FULL', 'cache: no space left to write')) : Promise.resolve(fitTwoNumbers(task, global, [1, 1]))),
    });
    await made.join('a', model, ({ state }) => {
      statuses.push(state);
      if (state === 'blocked') full = statuses.filter((each) => each === 'blocked').length < 2;
    });
    const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 1 }));
    await until(() => statuses.includes('blocked'), 'it is blocked');
    await until(async () => {
      made.clock.advance(1000);
      return (await made.state(runId)).phase === 'finished';
    }, 'it is tried again');
    expect((await made.ends(runId)).rounds[0]!.participants.get('a')!.outcome.state).toBe('accepted');
    expect(statuses.filter((state) => state === 'blocked')).toHaveLength(2);
    expect(made.log.matching(/the task is tried again/)).toHaveLength(1);
  });

  it('says how long training and sending took, each by itself', async () => {
    const made = await federation();
    const fit: LocalModel['fit'] = async (task, global) => {
      await wait(600);
      return fitTwoNumbers(task, global, [1, 1]);
    };
    await made.join('a', localModel('a', [1, 1], { fit }));
    const { participants } = (await made.ends(await made.coordinator.submit(config({ rounds: 1, minClients: 1 })))).rounds[0]!;
    const { outcome } = participants.get('a')!;
    expect(outcome.state === 'accepted' && outcome.metrics['upload_s']).toBeLessThan(0.6);
  });

  it('drops a task that the server does not want any more, while it trains', async () => {
    const made = await federation();
    let cancelled = false;
    const model = localModel('a', [1, 1], {
      fit: async (_task, _global, { signal, onProgress }) => {
        onProgress?.({ phase: 'training', step: 1, totalSteps: 10, loss: 0.5 });
        await wait(20_000, undefined, { signal: signal! }).catch(() => (cancelled = true));
        throw new CancelledError('training');
      },
    });
    await made.join('a', model);
    const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 1 }));
    const doing = async (): Promise<unknown> => (await made.coordinator.overview()).clients[0];
    await until(async () => 'step' in ((await doing()) as object) && ((await doing()) as { step: number }).step === 1, 'its progress is known');
    await made.coordinator.stop('enough', runId);
    await until(() => cancelled, 'the training is given up');
    expect((await made.ends(runId)).phase).toBe('stopped');
  });

  it('takes part again after it left', async () => {
    const made = await federation();
    const leave = await made.join('a', localModel('a', [1, 1]));
    leave.abort();
    await until(async () => (await made.coordinator.overview()).clients[0]!.state === 'left', 'it has left');
    const waiting = (async () => {
      for await (const event of made.coordinator.events(undefined, made.stop.signal)) if (event['kind'] === 'waiting') return event['reason'];
      return undefined;
    })();
    const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 1 }));
    await until(async () => (await made.coordinator.overview()).waiting === '1 client is needed, 0 are there', 'the run waits');
    // Whoever follows is told so too.
    expect(await waiting).toBe('1 client is needed, 0 are there');
    await made.join('a', localModel('a', [1, 1]));
    expect((await made.ends(runId)).phase).toBe('finished');
  });
});

describe('publicMessage', () => {
  it.each([
    ['/home/anna/set/data.parquet: row 3', '…/data.parquet: row 3'],
    ['cannot open "C:\\Users\\Anna\\robot\\model.onnx" (denied)', 'cannot open "…/model.onnx" (denied)'],
    ['loss is NaN at step 3/10, hf:owner/name', 'loss is NaN at step 3/10, hf:owner/name'],
  ])('%s', (message, expected) => {
    expect(publicMessage(new Zk0Error('X', message))).toBe(expected);
  });
});
