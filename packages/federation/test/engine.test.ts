import { readdir } from 'node:fs/promises';
import { encodeParameters } from '@zk0/core';
import { StorageError, type BlobStore } from '@zk0/storage';
import { describe, expect, it } from 'vitest';
import { ClientRegistry } from '../src/clients/client-registry.ts';
import { FederationError, type LocalModel } from '../src/index.ts';
import { FakeClock, MemoryLedgerStore } from '../src/testing.ts';
import { freeLeases, Puppet, testFederations } from './harness.ts';
import { config, fitTwoNumbers, localModel, numbers, until } from './two-numbers.ts';

const { scratch, federation } = testFederations();

const update = (a: number, b: number): Uint8Array => encodeParameters(numbers(a, b));
const one = { rounds: 1, minClients: 2 };

describe('ending a run', () => {
  it('asked for twice, it ends once, and the next run of the queue follows', async () => {
    const made = await federation();
    await made.join('a', localModel('a', [1, 1]));
    await new Puppet(made, 'b').join();
    const first = await made.coordinator.submit(config(one));
    const second = await made.coordinator.submit(config({ rounds: 1, minClients: 1, fraction: 0.5 }));
    await made.reaches(first, ({ rounds }) => rounds.length === 1);
    await Promise.all([made.coordinator.stop('enough', first), made.coordinator.stop('enough', first)]);
    expect(await made.ends(first)).toMatchObject({ phase: 'stopped', ending: { message: 'enough' } });
    await made.coordinator.stop('again', first);
    const types = (await made.ledger.entries(first)).map(({ event }) => event.type);
    expect(types.filter((type) => type === 'run-stopped' || type === 'run-stop-requested')).toEqual(['run-stop-requested', 'run-stopped']);
    await made.reaches(second, ({ phase }) => phase !== 'waiting_for_clients');
  });

  it('one that waits for its turn ends at once', async () => {
    const made = await federation();
    const first = await made.coordinator.submit(config(one));
    const second = await made.coordinator.submit(config(one));
    await until(async () => (await made.coordinator.overview()).current === first, 'the first is driven');
    await made.coordinator.stop('not needed', second);
    expect((await made.coordinator.overview()).runs.map(({ phase }) => phase)).toEqual(['waiting_for_clients', 'stopped']);
    await expect(made.coordinator.stop('x', 'nonsense')).rejects.toMatchObject({ code: 'RUN_UNKNOWN' });
  });
});

describe('a round', () => {
  it('counts the updates of all clients, also when their bytes are the same', async () => {
    const made = await federation();
    for (const id of ['a', 'b', 'c']) await made.join(id, localModel(id, [1, 2]));
    const runId = await made.coordinator.submit(config({ rounds: 3, minClients: 3 }));
    const { phase, rounds } = await made.ends(runId);
    expect(phase).toBe('finished');
    expect(rounds.flatMap(({ participants }) => [...participants.values()].map(({ outcome }) => outcome.state))).toEqual(Array(9).fill('accepted'));
  });
});

describe('a stop rule', () => {
  it('finishes a run before its last round, with a checkpoint of the newest, and each new best is kept', async () => {
    const made = await federation();
    await made.join('a', localModel('a', [-8, 0]));
    const runId = await made.coordinator.submit(config({ rounds: 9, minClients: 1, heldOut: ['held'], stopWhen: 'heldOutLoss<-5' }));
    const state = await made.ends(runId);
    expect(state).toMatchObject({ phase: 'finished', ending: { code: 'FINISHED_EARLY', message: 'heldOutLoss is -6 after round 2, and the run was to stop when heldOutLoss<-5' } });
    expect(state.rounds).toHaveLength(2);
    expect(made.model.best).toEqual([1, 2]);
    expect(made.model.saved.map((entry) => entry.split(':')[0])).toEqual(['2']);
  });

  it('keeps nothing that is no better, and nothing at all where that is not wanted', async () => {
    const made = await federation();
    await made.join('a', localModel('a', [8, 0]));
    const worse = await made.coordinator.submit(config({ rounds: 9, minClients: 1, heldOut: ['held'], stopWhen: 'heldOutLoss<-5 or noImprovement>=3' }));
    expect((await made.ends(worse)).rounds).toHaveLength(3);
    expect(made.model.best).toEqual([1]);
    await made.ends(await made.coordinator.submit(config({ rounds: 1, minClients: 1, keepBest: false })));
    expect(made.model.best).toEqual([1]);
  });

  it.each([
    [{ stopWhen: 'heldOutLoss<1' }, 'heldOutLoss needs held-out datasets'],
    [{ stopWhen: 'noImprovement>=2' }, 'noImprovement needs held-out datasets'],
    [{ stopWhen: 'clientLoss<1', strategy: { name: 'dp-fixed', noiseMultiplier: 1, clippingNorm: 1 } }, 'clients report no loss'],
  ])('that could never hold is refused: %j', async (settings, message) => {
    const made = await federation();
    await expect(made.coordinator.submit(config({ rounds: 1, minClients: 1, ...settings }))).rejects.toThrow(message);
  });
});

describe('following a run', () => {
  it('begins with its history where that is asked for, and tells nothing twice', async () => {
    const made = await federation();
    await made.join('a', localModel('a', [1, 2]));
    const runId = await made.coordinator.submit(config({ rounds: 3, minClients: 1 }));
    await made.reaches(runId, ({ rounds }) => rounds.length >= 1);
    const stop = new AbortController();
    const types: string[] = [];
    for await (const item of made.coordinator.events(runId, stop.signal, true)) {
      if (item['kind'] !== 'run') continue;
      types.push((item['event'] as { type: string }).type);
      if (types.at(-1) === 'run-finished') stop.abort();
    }
    expect(types).toEqual((await made.ledger.entries(runId)).map(({ event }) => event.type));
    expect(types).toContain('run-created');
    const unknown = made.coordinator.events('nonsense', new AbortController().signal, true);
    await expect(unknown.next()).rejects.toMatchObject({ code: 'RUN_UNKNOWN' });
  });
});

describe('a client that operators look at', () => {
  it('has a phase that began when it was first heard of, and the bytes that its updates tell', () => {
    const clock = new FakeClock();
    const registry = new ClientRegistry({ clock, silenceMs: 1000, onGone: () => undefined });
    const principal = { role: 'client', clientId: 'a', instance: 'i' } as const;
    registry.join({ clientId: 'a', instance: 'i', name: 'a', agent: 'test', profile: {}, label: 'a', numExamples: 1 });
    const at = (step: number, phase = 'training'): unknown => registry.seen(principal, { state: 'working', round: 1, phase, step, totalSteps: 9 }).activity;
    const start = clock.now();
    expect(at(0)).toMatchObject({ phaseSince: start });
    clock.advance(500);
    expect(at(3)).toMatchObject({ phaseSince: start });
    expect(at(1, 'uploading')).toMatchObject({ phaseSince: start + 500 });
    registry.transferred('a', 10, 20);
    registry.transferred('a', 1, 2);
    registry.transferred('unknown', 1, 1);
    expect(registry.get('a')).toMatchObject({ bytesUp: 11, bytesDown: 22 });
  });
});

describe('what the strategy says of a round', () => {
  it('too many failures: the round is skipped, the run goes on', async () => {
    const made = await federation();
    await made.join('a', localModel('a', [1, 1]));
    await made.join('b', localModel('b', [1, 1], { fit: (task, global) => (task.fit.round === 1 ? Promise.reject(new Error('broken')) : localModel('b', [1, 1]).fit(task, global, {})) }));
    const runId = await made.coordinator.submit(config({ rounds: 2, minClients: 1, fraction: 1, strategy: { name: 'fault-tolerant-fedavg', minCompletionRate: 0.9 } }));
    await made.reaches(runId, ({ rounds }) => rounds[0]?.phase === 'skipped');
    made.clock.advance(3000);
    const state = await made.ends(runId);
    expect(state.phase).toBe('finished');
    expect(state.rounds.map(({ phase }) => phase)).toEqual(['skipped', 'done']);
    // What a failed aggregation had begun to write is gone.
    expect(await readdir(made.scratchDirectory)).toEqual([]);
  });

  it('SCAFFOLD’s clients correct their steps by what the server and they themselves know of the round before', async () => {
    const made = await federation();
    const seen: string[] = [];
    const drift = { a: [1, 0], b: [0, 3] } as const;
    for (const id of ['a', 'b'] as const) {
      const fit: LocalModel['fit'] = async (task, global, { correction }) => {
        const values = Buffer.alloc(8);
        await correction!.readBytes('w', 0, values);
        seen.push(`${id}/${task.fit.round}: ${values.readFloatLE(0)} ${values.readFloatLE(4)}`);
        return { ...fitTwoNumbers(task, global, [1, 1]), meanGradient: numbers(...drift[id]) };
      };
      await made.join(id, localModel(id, [1, 1], { fit }));
    }
    const runId = await made.coordinator.submit(config({ rounds: 2, minClients: 2, strategy: { name: 'scaffold' } }));
    expect((await made.ends(runId)).phase).toBe('finished');
    // c is the mean of both gradients, (0.5, 1.5): what is added is c − c_k.
    expect(seen.sort()).toEqual(['a/1: 0 0', 'a/2: -0.5 1.5', 'b/1: 0 0', 'b/2: 0.5 -1.5']);
  });

  it('after skipped rounds it pauses, longer each time, and gives up after five', async () => {
    const made = await federation();
    await made.join('a', localModel('a', [1, 1], { fit: () => Promise.reject(new Error('broken')) }));
    const runId = await made.coordinator.submit(config({ rounds: 20, minClients: 1 }));
    const at: number[] = [];
    for (let round = 1; round <= 5; round++) {
      await made.reaches(runId, ({ rounds }) => rounds[round - 1]?.phase === 'skipped', `round ${round} is skipped`);
      at.push(made.clock.now());
      while (round < 5 && (await made.state(runId)).rounds.length === round) {
        made.clock.advance(500);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    expect(await made.ends(runId)).toMatchObject({ phase: 'failed', ending: { code: 'RUN_NO_PROGRESS' } });
    const pauses = at.slice(1).map((time, index) => time - at[index]!);
    for (const [index, least] of [2000, 5000, 10_000, 20_000].entries()) expect(pauses[index]).toBeGreaterThanOrEqual(least);
  });

  it('its state goes from round to round, through a restart of the server', async () => {
    const store = new MemoryLedgerStore();
    const hashes: (string | undefined)[] = [];
    for (const restarts of [0, 1]) {
      const made = await federation({}, restarts === 0 ? store : new MemoryLedgerStore());
      await made.join('a', localModel('a', [1, 2]));
      const runId = await made.coordinator.submit(config({ rounds: 3, minClients: 1, seed: 1, strategy: { name: 'dp-adaptive', noiseMultiplier: 0, initialClippingNorm: 0.5 } }));
      if (restarts === 1) {
        await made.reaches(runId, ({ rounds }) => rounds.length >= 2);
        await made.restart();
      }
      const state = await made.ends(runId);
      hashes.push(state.parameters?.hash);
      const scalars = (await made.ledger.entries(runId)).flatMap(({ event }) => (event.type === 'round-aggregated' ? [event.strategyScalars['clippingNorm']] : []));
      expect(scalars).toHaveLength(3);
      expect(new Set(scalars).size).toBeGreaterThan(1);
    }
    expect(hashes[0]).toBe(hashes[1]);
  });
});

describe('trouble of this machine', () => {
  it('a disk that fills and empties again costs nothing, is said once, and is nobody’s fault', async () => {
    let full = false;
    const scratchBlobs = await scratch.blobs('filling');
    const blobs: BlobStore = new Proxy(scratchBlobs, {
      get: (target, key) => {
        const value = Reflect.get(target, key, target) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (full && (key === 'putFile' || key === 'put')) return Promise.reject(new StorageError('DISK_FULL', 'no space left to write'));
          return (value as (...args: unknown[]) => unknown).apply(target, args);
        };
      },
    });
    const made = await federation({ blobs });
    await made.join('a', localModel('a', [1, 2]));
    const runId = await made.coordinator.submit(config({ rounds: 2, minClients: 1 }));
    await made.reaches(runId, ({ baseline }) => baseline !== undefined);
    full = true;
    await until(async () => (await made.coordinator.overview()).waiting !== null, 'the run waits for the disk');
    expect((await made.coordinator.overview()).waiting).toContain('no space left');
    for (let n = 0; n < 5; n++) {
      made.clock.advance(10_000);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    full = false;
    await until(async () => {
      made.clock.advance(1000);
      return (await made.state(runId)).phase === 'finished';
    }, 'the run ends');
    expect(made.log.matching(/^error .*no space left/)).toHaveLength(1);
    expect((await made.ledger.entries(runId)).some(({ event }) => event.type === 'update-refused')).toBe(false);
  });

  it('a disk that is full while the server is idle or opens a run does not end it: said once, and the run then starts', async () => {
    let full = true;
    const refuse = (): void => {
      if (full) throw new StorageError('DISK_FULL', 'ledger: no space left to write');
    };
    const made = await federation({
      leases: {
        ...freeLeases,
        acquire: async (name, holder, ttlMs) => {
          refuse();
          return freeLeases.acquire(name, holder, ttlMs);
        },
      },
    });
    const passes = async (): Promise<void> => {
      made.clock.advance(6000);
      await new Promise((resolve) => setTimeout(resolve, 10));
    };
    for (let n = 0; n < 5; n++) await passes();
    expect(made.log.matching(/^error .*no space left to write; it is tried again/)).toHaveLength(1);
    const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 1 }));
    await made.join('a', localModel('a', [1, 2]));
    full = false;
    await until(async () => {
      await passes();
      return (await made.state(runId)).phase === 'finished';
    }, 'the run ends');
    expect(made.failure).toBeUndefined();
  });

  it('a ledger that is unusable ends the server at once, and it says so', async () => {
    const made = await federation({ leases: { ...freeLeases, acquire: () => Promise.reject(new FederationError('LEDGER_UNUSABLE', 'torn')) } });
    await until(() => Promise.resolve(made.failure !== undefined), 'the server ends');
    expect(made.failure).toMatchObject({ code: 'LEDGER_UNUSABLE' });
  });

  it('an observer that fails is tried again and reported once; the run does not wait for it', async () => {
    let broken = true;
    const handled: string[] = [];
    const closed: string[] = [];
    const made = await federation({
      openRun: () => ({
        log: made.log,
        observers: [
          {
            name: 'charts',
            handle: ({ event }) => {
              if (broken) return Promise.reject(new Error('disk on fire'));
              handled.push(event.type);
              return Promise.resolve();
            },
            close: () => Promise.reject(new Error('cannot close')),
          },
          { name: 'files', handle: () => Promise.resolve(), close: () => Promise.resolve(void closed.push('files')) },
        ],
      }),
    });
    await made.join('a', localModel('a', [1, 2]));
    const runId = await made.coordinator.submit(config({ rounds: 2, minClients: 1 }));
    await made.ends(runId);
    expect(made.log.matching(/charts: disk on fire/)).toHaveLength(1);
    broken = false;
    await until(() => {
      made.clock.advance(1000);
      return closed.length === 1 && handled.includes('run-finished');
    }, 'the observer caught up and both were closed');
    expect(handled.filter((type) => type === 'round-aggregated')).toHaveLength(2);
    expect((await made.state(runId)).phase).toBe('finished');
  });

  it('an evaluation that gives no numbers ends the run with a reason, and the ledger stays readable', async () => {
    const made = await federation();
    made.model.evaluate = () => Promise.resolve({ policyLoss: Number.NaN, totalSamples: 1, datasets: [] });
    await made.join('a', localModel('a', [1, 2]));
    const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 1 }));
    expect(await made.ends(runId)).toMatchObject({ phase: 'failed', ending: { code: 'EVALUATION_INVALID' } });
    await made.restart();
    expect((await made.coordinator.overview()).runs[0]).toMatchObject({ phase: 'failed' });
  });
});

describe('a client that leaves', () => {
  it('is not waited for when the round has what it needs, and may come back before', async () => {
    const made = await federation();
    const [a, b] = [await new Puppet(made, 'a').join(), await new Puppet(made, 'b').join()];
    const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 1 }));
    const [taskA, taskB] = [await a.task(), await b.task()];
    await made.coordinator.leave(b.principal);
    expect(await made.coordinator.result(b.principal, await b.answer(taskB, update(1, 1))).catch((error: unknown) => error)).toMatchObject({ status: 'late' });
    await b.join();
    expect((await b.task()).taskId).toBe(taskB.taskId);
    await made.coordinator.leave(b.principal);
    expect(await made.coordinator.result(a.principal, await a.answer(taskA, update(1, 1)))).toEqual({ status: 'accepted' });
    const state = await made.ends(runId);
    expect(state.rounds[0]!.participants.get('b')!.outcome.state).toBe('left');
    expect(state.rounds[0]!.closedBecause).toBe('all-in');
  });

  it('is waited for a minute where the round lacks its update', async () => {
    const made = await federation();
    const [a, b] = [await new Puppet(made, 'a').join(), await new Puppet(made, 'b').join()];
    const runId = await made.coordinator.submit(config(one));
    const [taskA] = [await a.task(), await b.task()];
    await made.coordinator.result(a.principal, await a.answer(taskA, update(1, 1)));
    await made.coordinator.leave(b.principal);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect((await made.state(runId)).rounds[0]!.phase).toBe('training');
    made.clock.advance(61_000);
    await made.reaches(runId, ({ rounds }) => rounds[0]!.phase === 'skipped');
  });
});

describe('results', () => {
  it('count once, for the task that is open, and not after the round closed', async () => {
    const made = await federation();
    const clients = await Promise.all(['a', 'b', 'c', 'd'].map((id) => new Puppet(made, id).join()));
    const runId = await made.coordinator.submit(config({ rounds: 2, minClients: 2, overSelection: 1, fraction: 0.5 }));
    const [a, b, c, d] = clients as [Puppet, Puppet, Puppet, Puppet];
    const tasks = await Promise.all(clients.map((client) => client.task()));
    const send = (client: Puppet, result: Awaited<ReturnType<Puppet['answer']>>): Promise<unknown> => made.coordinator.result(client.principal, result);
    const first = await a.answer(tasks[0]!, update(1, 1));
    expect(await Promise.all([send(a, first), send(a, first)])).toEqual([{ status: 'accepted' }, { status: 'accepted' }]);
    expect(await send(a, first)).toEqual({ status: 'duplicate' });
    expect(await send(a, await a.answer(tasks[0]!, update(2, 2)))).toMatchObject({ status: 'late', message: 'another update of this client counts already' });
    // A task of another client, of another round, of another attempt.
    for (const wrong of [{ taskId: tasks[0]!.taskId }, { taskId: `${runId}/2/b` }, { attempt: 2 }]) {
      expect(await send(b, { ...(await b.answer(tasks[1]!, update(1, 1))), ...wrong })).toMatchObject({ status: 'late' });
    }
    expect(await send(d, { ...(await d.answer(tasks[3]!, update(1, 1))), outcome: { ok: false, code: 'CRASH', message: 'broke' } })).toEqual({ status: 'accepted' });
    expect(await send(c, await c.answer(tasks[2]!, update(1, 1)))).toEqual({ status: 'accepted' });
    await made.reaches(runId, ({ rounds }) => rounds.length === 2);
    expect(await send(b, await b.answer(tasks[1]!, update(1, 1)))).toEqual({
      status: 'late',
      message: 'round 1 is closed: other clients gave the 2 updates that it wanted',
    });
    expect(await send(b, { ...(await b.answer(tasks[1]!, update(1, 1))), runId: 'another' })).toMatchObject({ status: 'late' });
    const [round] = (await made.state(runId)).rounds;
    expect(Object.fromEntries([...round!.participants].map(([id, { outcome }]) => [id, outcome.state]))).toEqual({
      a: 'accepted', b: 'unneeded', c: 'accepted', d: 'refused',
    });
  });

  it('are late when the round closes while they are being read', async () => {
    const made = await federation();
    const [a, b] = [await new Puppet(made, 'a').join(), await new Puppet(made, 'b').join()];
    const runId = await made.coordinator.submit(config({ ...one, roundDeadlineSeconds: 10 }));
    const tasks = [await a.task(), await b.task()];
    const answer = await b.answer(tasks[1]!, update(1, 1));
    const path = made.blobs.path.bind(made.blobs);
    // The deadline passes at the moment in which the update is opened.
    made.blobs.path = (hash) => {
      if ('update' in answer.outcome && hash === answer.outcome.update?.hash) made.clock.advance(11_000);
      return path(hash);
    };
    const reply = await made.coordinator.result(b.principal, answer);
    const state = await made.reaches(runId, ({ rounds }) => rounds[0]!.phase !== 'training');
    expect([reply.status, state.rounds[0]!.participants.get('b')!.outcome.state]).toEqual(['late', 'assigned']);
  });

  it('claim no more examples than their client declared', async () => {
    const made = await federation();
    const a = await new Puppet(made, 'a').join({ examples: 20 });
    await made.coordinator.submit(config({ rounds: 1, minClients: 1 }));
    const task = await a.task();
    expect(await made.coordinator.result(a.principal, await a.answer(task, update(1, 1), { numExamples: 21 }))).toMatchObject({
      status: 'rejected',
      code: 'UPDATE_BAD_EXAMPLE_COUNT',
    });
  });

  it('wait for a server that has just started, instead of being late', async () => {
    const made = await federation();
    const a = await new Puppet(made, 'a').join();
    const runId = await made.coordinator.submit(config({ rounds: 1, minClients: 1 }));
    const answer = await a.answer(await a.task(), update(1, 1));
    let opened: () => void = () => undefined;
    const slow = new Promise<void>((resolve) => (opened = resolve));
    await made.restart({ openRun: () => slow.then(() => ({ log: made.log, observers: [] })) });
    await expect(made.coordinator.result(a.principal, answer)).rejects.toMatchObject({ code: 'NOT_JOINED' });
    await a.join();
    await expect(made.coordinator.result(a.principal, answer)).rejects.toMatchObject({ code: 'BUSY' });
    // Meanwhile the task is known to be open: a client at work is not sent away.
    const { taskId, parameters } = { taskId: answer.taskId, parameters: (await made.state(runId)).parameters! };
    expect(await made.coordinator.heartbeat(a.principal, { progress: { taskId, phase: 'training', step: 1, totalSteps: 2 } })).toEqual({ continue: true });
    await made.coordinator.authorizeDownload(a.principal, parameters.hash);
    opened();
    await until(async () => (await made.coordinator.result(a.principal, answer).catch(() => null))?.status === 'accepted', 'the result counts');
    expect((await made.ends(runId)).phase).toBe('finished');
  });
});

describe('who may do what', () => {
  it('one installation works under an id; the one at work stays, and is itself after a restart', async () => {
    const made = await federation();
    const a = await new Puppet(made, 'a', 'first').join();
    const second = new Puppet(made, 'a', 'second');
    await expect(second.join()).rejects.toThrow('CLIENT_ID_IN_USE');
    await expect(made.coordinator.heartbeat(second.principal, {})).rejects.toMatchObject({ code: 'CLIENT_ID_IN_USE' });
    await made.coordinator.leave(second.principal);
    await new Puppet(made, 'a', 'first').join();
    await made.coordinator.heartbeat(a.principal, {});
    made.clock.advance(61_000);
    await until(async () => (await made.coordinator.overview()).clients[0]!.state === 'offline', 'silence makes it offline');
    await second.join();
    await expect(made.coordinator.heartbeat(a.principal, {})).rejects.toMatchObject({ code: 'CLIENT_ID_IN_USE' });
  });

  it('a client uploads and reads for its open task only', async () => {
    const made = await federation();
    const [a, b] = [await new Puppet(made, 'a').join(), await new Puppet(made, 'b').join()];
    const blob = { hash: 'f'.repeat(64), byteLength: 100 };
    await expect(made.coordinator.authorizeUpload(a.principal, blob)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const runId = await made.coordinator.submit(config(one));
    const [task] = [await a.task(), await b.task()];
    await made.coordinator.authorizeUpload(a.principal, blob);
    await made.coordinator.authorizeDownload(a.principal, task.parameters.hash);
    await expect(made.coordinator.authorizeUpload(a.principal, { ...blob, byteLength: 10 * 2 ** 20 })).rejects.toThrow('its task allows');
    const answer = await b.answer(task, update(1, 1));
    await expect(made.coordinator.authorizeDownload(a.principal, 'update' in answer.outcome ? answer.outcome.update!.hash : '')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(made.coordinator.authorizeDownload(new Puppet(made, 'stranger').principal, task.parameters.hash)).rejects.toMatchObject({ code: 'NOT_JOINED' });
    await made.coordinator.stop('enough', runId);
    await made.ends(runId);
    await expect(made.coordinator.authorizeUpload(a.principal, blob)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('a client that cannot take part is told why, and so is the operator', async () => {
    const made = await federation();
    const odd = await new Puppet(made, 'odd').join({ misfit: 'it has seven joints' });
    await new Puppet(made, 'a').join();
    await made.coordinator.submit(config(one));
    await until(async () => (await made.coordinator.overview()).waiting !== null, 'the run waits');
    const status = await made.coordinator.overview();
    expect(status.waiting).toBe('2 clients are needed, 1 is there that can take part; client odd cannot take part: it has seven joints');
    expect(status.clients.find(({ clientId }) => clientId === 'odd')?.misfit).toBe('it has seven joints');
    expect(await made.coordinator.heartbeat(odd.principal, {})).toEqual({ continue: true, notice: 'it has seven joints' });
  });

  it('refuses a configuration that could only fail later', async () => {
    const made = await federation();
    const operator = { role: 'operator' as const, name: 'test' };
    await expect(made.coordinator.submitRun(operator, { rounds: 0 })).rejects.toMatchObject({ code: 'RUN_CONFIG_INVALID' });
    await expect(made.coordinator.submitRun(operator, { strategy: { name: 'krum', malicious: 3 }, minClients: 2 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(made.coordinator.submitRun(operator, { strategy: { name: 'nonsense' } })).rejects.toMatchObject({ code: 'STRATEGY_CONFIG_INVALID' });
    expect((await made.coordinator.overview()).runs).toEqual([]);
  });
});
