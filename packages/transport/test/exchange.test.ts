import { afterEach, describe, expect, it } from 'vitest';
import { adminClient } from '../src/index.ts';
import { choppingProxy } from './chopping-proxy.ts';
import { makeTask, randomBytes, Scope, sha256, until } from './harness.ts';

const scope = new Scope();
afterEach(() => scope.dispose());

const introduction = { name: 'Kitchen', agent: 'test/1', profile: { robot: 'so101', frames: 100 } };

describe('a round over the wire', () => {
  it('goes from join to an accepted result, with both blobs checked on both sides', async () => {
    const { server, service, blobs } = await scope.server();
    const local = await scope.store();
    const client = scope.client(server.url);
    const global = await blobs.put(randomBytes(300_000, 1));
    await client.join(introduction);
    expect(service.joined.get('client-1')).toEqual(introduction);

    const waiting = client.poll();
    await until(() => service.waiting === 1);
    service.give('client-1', makeTask({ parameters: global }));
    const task = await waiting;
    expect(task).toEqual(makeTask({ parameters: global }));

    const seen: number[] = [];
    await client.download(global.hash, global.byteLength, local, { onProgress: (bytes) => seen.push(bytes) });
    expect(seen.at(-1)).toBe(300_000);
    expect(await local.size(global.hash)).toBe(300_000);

    const progress = { taskId: task!.taskId, phase: 'training', step: 1, totalSteps: 2 };
    expect(await client.heartbeat({ progress: { ...progress, loss: NaN } })).toEqual({ continue: true });
    expect(await client.heartbeat()).toEqual({ continue: true });
    expect(service.heartbeats).toEqual([{ clientId: 'client-1', progress }, { clientId: 'client-1' }]);

    const update = await local.put(randomBytes(300_000, 2));
    await client.upload(update.hash, local);
    expect(await blobs.size(update.hash)).toBe(300_000);
    const { taskId, runId, round, attempt } = task!;
    const result = { taskId, runId, round, attempt, outcome: { ok: true, update, numExamples: 64, metrics: { loss: 0.5 } } } as const;
    expect(await client.result(result)).toEqual({ status: 'accepted' });
    expect(await client.result(result)).toEqual({ status: 'duplicate' });
    expect(service.results).toEqual([{ clientId: 'client-1', ...result }]);

    const said = { lines: [{ ageMs: 5, level: 'warn', message: 'frame 3 is skipped', round: 1 }], leftOut: 2, resources: { memoryBytes: 1, totalMemoryBytes: 2 } } as const;
    await client.report({ ...said, lines: [...said.lines] });
    expect(service.reports).toEqual([{ clientId: 'client-1', ...said }]);

    const { bytesUp, bytesDown } = client.takeByteCounts();
    expect(bytesUp).toBeGreaterThan(300_000);
    expect(bytesUp).toBeLessThan(310_000);
    expect(bytesDown).toBeGreaterThan(300_000);
    expect(client.takeByteCounts()).toEqual({ bytesUp: 0, bytesDown: 0 });
    await client.leave();
    expect(service.left).toEqual(['client-1']);
  });

  it('takes one connection, as long as the client does one thing after another', async () => {
    const { server } = await scope.server({ limits: { pollWaitMs: 50 } });
    const line = await choppingProxy(server.url);
    scope.defer(() => line.close());
    const local = await scope.store();
    const client = scope.client(line.url);
    await client.join(introduction);
    expect(await client.poll(AbortSignal.timeout(2500))).toBeNull();
    const update = await local.put(randomBytes(4_000_000));
    await client.upload(update.hash, local);
    // The poll that was broken off took its connection with it.
    expect(line.connections).toBeLessThanOrEqual(2);
  });

  it('sends nothing for a blob that the other side has', async () => {
    const { server, blobs } = await scope.server();
    const local = await scope.store();
    const client = scope.client(server.url);
    const bytes = randomBytes(100_000);
    const blob = await blobs.put(bytes);
    await local.put(bytes);
    await client.upload(blob.hash, local);
    await client.download(blob.hash, blob.byteLength, local);
    expect(client.bytesUp).toBe(0);
    // Where the upload stands, and nothing of the blob.
    expect(client.bytesDown).toBeLessThan(100);
  });

  it('moves empty blobs', async () => {
    const { server, blobs } = await scope.server();
    const local = await scope.store();
    const client = scope.client(server.url);
    const blob = await local.put(new Uint8Array(0));
    await client.upload(blob.hash, local);
    expect(await blobs.size(blob.hash)).toBe(0);
    const other = await scope.store();
    await client.download(blob.hash, 0, other);
    expect(await other.size(sha256(new Uint8Array(0)))).toBe(0);
  });

  it('hands on a refusal to join with code, message and hint', async () => {
    const { server } = await scope.server();
    const client = scope.client(server.url);
    await expect(client.join({ ...introduction, profile: { robot: 'wrong' } })).rejects.toMatchObject({
      code: 'ROBOT_UNKNOWN',
      message: 'no such robot',
      hint: 'Use an SO-101.',
    });
  });

  it('tells a client to drop a task', async () => {
    const { server, service } = await scope.server();
    service.wanted = false;
    const reply = await scope.client(server.url).heartbeat({ progress: { taskId: 't', phase: 'training', step: 0, totalSteps: 1 } });
    expect(reply).toEqual({ continue: false });
  });
});

describe('polling', () => {
  it('outlives polls that end without a task', async () => {
    const { server, service } = await scope.server({ limits: { pollWaitMs: 20 } });
    const client = scope.client(server.url, { retry: { sleep: () => Promise.resolve() } });
    await client.join(introduction);
    const waiting = client.poll();
    await until(() => service.polls >= 3);
    service.give('client-1', makeTask());
    expect(await waiting).toEqual(makeTask());
  });

  it('ends with null when its signal aborts, and the server notices', async () => {
    const { server, service } = await scope.server();
    const client = scope.client(server.url);
    await client.join(introduction);
    const abort = new AbortController();
    const waiting = client.poll(abort.signal);
    await until(() => service.waiting === 1);
    abort.abort();
    expect(await waiting).toBeNull();
    await until(() => service.waiting === 0, 'the end of the poll on the server');
  });

  it('joins again by itself when the server has forgotten the client', async () => {
    const { server, service } = await scope.server();
    const client = scope.client(server.url);
    await client.join(introduction);
    service.joined.clear();
    service.give('client-1', makeTask());
    expect(await client.poll()).toEqual(makeTask());
    expect(service.joined.get('client-1')?.name).toBe('Kitchen');
  });

  it('is refused before joining', async () => {
    const { server } = await scope.server();
    await expect(scope.client(server.url).poll()).rejects.toMatchObject({ code: 'NOT_JOINED' });
  });

  it('leaves it to the service to keep a second installation out, and the first one waiting', async () => {
    const { server, service } = await scope.server();
    const first = scope.client(server.url);
    await first.join(introduction);
    const waiting = first.poll();
    await until(() => service.waiting === 1);
    const second = scope.client(server.url, { instance: 'instance-2' });
    await expect(second.join(introduction)).rejects.toMatchObject({ code: 'CLIENT_ID_IN_USE' });
    service.give('client-1', makeTask());
    expect(await waiting).toEqual(makeTask());
  });

  it('tells two processes of one installation apart', async () => {
    const { server, service } = await scope.server();
    const first = scope.client(server.url);
    await first.join(introduction);
    const polling = first.poll();
    const refused = expect(polling).rejects.toMatchObject({ code: 'CLIENT_ID_IN_USE' });
    await until(() => service.waiting === 1);
    const second = scope.client(server.url);
    const waiting = second.poll();
    await refused;
    service.give('client-1', makeTask());
    expect(await waiting).toEqual(makeTask());
  });

  it('serves a hundred clients at once', async () => {
    const { server, service } = await scope.server();
    const clients = Array.from({ length: 100 }, (_, index) => scope.client(server.url, { clientId: `client-${index}` }));
    await Promise.all(clients.map((client) => client.join(introduction)));
    const polls = clients.map((client) => client.poll());
    await until(() => service.waiting === 100, 'a hundred waiting polls');
    for (let index = 0; index < 100; index++) service.give(`client-${index}`, makeTask({ taskId: `task-${index}` }));
    const tasks = await Promise.all(polls);
    expect(tasks.map((task) => task?.taskId)).toEqual(Array.from({ length: 100 }, (_, index) => `task-${index}`));
  });

  it('turns away more polls than the limit', async () => {
    const { server, service } = await scope.server({ limits: { maxPolls: 1 } });
    const first = scope.client(server.url);
    await first.join(introduction);
    const abort = new AbortController();
    const waiting = first.poll(abort.signal);
    await until(() => service.waiting === 1);
    const errors: string[] = [];
    const second = scope.client(server.url, {
      clientId: 'client-2',
      onConnectionState: (state) => {
        if (state.state === 'retrying') errors.push(state.error.code);
      },
      retry: { sleep: () => new Promise((resolve) => setTimeout(resolve, 5)) },
    });
    await second.join(introduction);
    const later = second.poll();
    await until(() => errors.length > 0);
    expect(errors[0]).toBe('BUSY');
    abort.abort();
    await waiting;
    service.give('client-2', makeTask());
    expect(await later).toEqual(makeTask());
  });
});

describe('the operator', () => {
  it('reads status, submits and stops runs', async () => {
    const { server, service } = await scope.server();
    const admin = adminClient({ url: server.url });
    scope.defer(() => admin.close());
    expect(await admin.status()).toEqual({ clients: [] });
    expect(await admin.submitRun({ rounds: 3 })).toEqual({ runId: 'run-1' });
    expect(service.runs).toEqual([{ rounds: 3 }]);
    expect(await admin.stop()).toEqual({ runId: 'run-1' });
    expect(await admin.stop('run-7')).toEqual({ runId: 'run-7' });
    expect(await admin.change({ change: 'pause' })).toEqual({ runId: 'run-1' });
    expect(await admin.change({ change: 'exclude', runId: 'run-7', clientId: 'anna' })).toEqual({ runId: 'run-7' });
    expect(service.changes).toEqual([{ change: 'pause' }, { change: 'exclude', runId: 'run-7', clientId: 'anna' }]);
    expect(service.stopped).toEqual([undefined, 'run-7']);
    await expect(admin.submitRun({ rounds: 0 })).rejects.toMatchObject({ code: 'RUN_CONFIG_INVALID', hint: 'At least 1.' });
  });

  it('is told nothing about errors nobody foresaw', async () => {
    const { server } = await scope.server();
    const admin = adminClient({ url: server.url });
    scope.defer(() => admin.close());
    await expect(admin.submitRun({ rounds: -1 })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.not.stringContaining('secret') as string,
    });
  });

  it('follows the events of one run, and of all', async () => {
    const { server, service } = await scope.server();
    const admin = adminClient({ url: server.url });
    scope.defer(() => admin.close());
    service.emit({ runId: 'a', text: 'first\nline' });
    service.emit({ runId: 'b', text: 'ü'.repeat(50_000) });
    service.emit({ runId: 'a', text: 'last' });
    const take = async (count: number, runId?: string): Promise<unknown[]> => {
      const abort = new AbortController();
      const events: unknown[] = [];
      for await (const event of admin.follow({ signal: abort.signal, ...(runId === undefined ? {} : { runId }) })) {
        events.push(event['text']);
        if (events.length === count) abort.abort();
      }
      return events;
    };
    expect(await take(3)).toEqual(['first\nline', 'ü'.repeat(50_000), 'last']);
    expect(await take(2, 'a')).toEqual(['first\nline', 'last']);
    await until(() => service.waiting === 0, 'the end of the streams on the server');
  });

  it('learns when the stream of events breaks', async () => {
    const { server, service } = await scope.server();
    const admin = adminClient({ url: server.url });
    scope.defer(() => admin.close());
    service.emit({ type: 'break' });
    await expect(admin.follow().next()).rejects.toMatchObject({ code: 'RUN_UNKNOWN', message: 'the feed broke' });
  });
});
