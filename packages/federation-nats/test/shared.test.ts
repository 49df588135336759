import { createServer, type Server } from 'node:net';
import type { Task } from '@zk0/core';
import { silentLog, type ClientTask } from '@zk0/federation';
import { FakeClock } from '@zk0/federation/testing';
import { jetstreamManager } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { describe, expect, it, vi } from 'vitest';
import { openNatsStores, parseNatsAddress } from '../src/index.ts';
import { freePort, NO_NATS_SERVER, natsServerBinary, TestNatsServer } from './nats-server.ts';
import { openedStores } from './opened-stores.ts';

const task = (clientId: string, round = 1): ClientTask => ({
  clientId,
  task: { taskId: `run/${round}/${clientId}`, runId: 'run', round, kind: 'fit', attempt: 1, parameters: { hash: '0'.repeat(64), byteLength: 8 }, instructions: {} } satisfies Task,
});
const soon = (): AbortSignal => AbortSignal.timeout(200);
const long = (): AbortSignal => AbortSignal.timeout(20_000);

describe.skipIf(natsServerBinary === undefined)(`what servers share over NATS${natsServerBinary === undefined ? ` (${NO_NATS_SERVER})` : ''}`, () => {
  const shared = openedStores('shared');
  const { newFederation, open } = shared;

  describe('a lease', () => {
    it('goes to another server after its time, counted by the clock of the one that waits, whatever time it is elsewhere', async () => {
      const address = newFederation();
      const [ahead, behind] = [new FakeClock(Date.UTC(2031, 0, 1)), new FakeClock(Date.UTC(2019, 0, 1))];
      const [first, second] = [await open(address, { clock: ahead }), await open(address, { clock: behind })];
      expect(await first.leases.acquire('coordinator', 'first', 15_000)).not.toBeNull();
      // It has not seen since when the lease stands.
      expect(await second.leases.acquire('coordinator', 'second', 15_000)).toBeNull();
      behind.advance(14_999);
      expect(await second.leases.acquire('coordinator', 'second', 15_000)).toBeNull();
      expect(await first.leases.acquire('coordinator', 'first', 15_000)).not.toBeNull();
      behind.advance(5000);
      expect(await second.leases.acquire('coordinator', 'second', 15_000)).toBeNull();
      behind.advance(15_000);
      expect(await second.leases.acquire('coordinator', 'second', 15_000)).not.toBeNull();
      expect(await first.leases.acquire('coordinator', 'first', 15_000)).toBeNull();
    });

    it('goes to one of many that want it, and at once to its holder that was started again', async () => {
      const address = newFederation();
      const servers = await Promise.all(Array.from({ length: 5 }, () => open(address)));
      const taken = await Promise.all(servers.map(({ leases }, n) => leases.acquire('coordinator', `server ${n}`, 15_000)));
      const winner = taken.findIndex((lease) => lease !== null);
      expect(taken.filter((lease) => lease !== null)).toHaveLength(1);
      const again = await open(address);
      expect(await again.leases.acquire('coordinator', `server ${winner}`, 15_000)).not.toBeNull();
      await again.leases.release('coordinator', `server ${winner}`);
      expect(await again.leases.acquire('coordinator', 'another', 15_000)).not.toBeNull();
    });
  });

  describe('tasks', () => {
    it('are published by one server and handed out by another, at most so many at once over both', async () => {
      const address = newFederation();
      const [leader, front] = [await open(address), await open(address)];
      const waiting = front.queue.take('a', long());
      await leader.queue.publish(['a', 'b', 'c', 'd'].map((id) => task(id)), 2);
      const taken = await Promise.all(['a', 'b', 'c', 'd'].map((id, n) => (n === 0 ? waiting : (n % 2 === 0 ? leader : front).queue.take(id, AbortSignal.timeout(1500)))));
      const out = taken.filter((each) => each !== null).map(({ clientId }) => clientId);
      expect(out).toHaveLength(2);
      const left = ['a', 'b', 'c', 'd'].filter((id) => !out.includes(id));
      const next = Promise.all(left.map((id) => front.queue.take(id, AbortSignal.timeout(1500))));
      await leader.queue.withdraw(out[0]!);
      expect((await next).filter((each) => each !== null)).toHaveLength(1);
      expect(await front.queue.take(out[0]!, soon())).toBeNull();
      expect(await front.queue.take(out[1]!, long())).toEqual(task(out[1]!));
    });

    it('of the server that drives come back when one that drove before has replaced them, and are not withdrawn by it', async () => {
      const address = newFederation();
      const [before, now, front] = [await open(address, { republishMs: 300 }), await open(address, { republishMs: 300 }), await open(address)];
      await now.queue.publish([task('a', 2), task('b', 2)], 0);
      await now.queue.withdraw('b');
      await before.queue.publish([task('a', 1), task('b', 1)], 0);
      expect(await front.queue.take('a', long())).toEqual(task('a', 1));
      await before.queue.clear();
      await vi.waitFor(async () => { expect(await front.queue.current('a')).toEqual(task('a', 2)); }, 10_000);
      expect(await front.queue.current('b')).toBeNull();
      await before.queue.clear();
      expect(await front.queue.take('a', long())).toEqual(task('a', 2));
      await now.queue.clear();
      await vi.waitFor(async () => { expect(await front.queue.current('a')).toBeNull(); }, 10_000);
    });

    it('reach who waits also after the server was killed and started again', { timeout: 60_000 }, async () => {
      const address = newFederation();
      const [leader, front] = [await open(address), await open(address)];
      await leader.queue.publish([task('a')], 0);
      expect(await front.queue.take('a', long())).toEqual(task('a'));
      const waiting = front.queue.take('b', AbortSignal.timeout(40_000));
      await shared.server.kill();
      await shared.server.start();
      await leader.queue.publish([task('a', 2), task('b', 2)], 0);
      expect(await waiting).toEqual(task('b', 2));
      expect(await front.queue.take('a', long())).toEqual(task('a', 2));
    });
  });

  it('rows are changed by revision, wherever they are read, and names are taken once', async () => {
    const address = newFederation();
    const [first, second] = [await open(address), await open(address)];
    expect(await first.nodes.get('a.b')).toBeNull();
    expect(await Promise.all([first, second].map(({ nodes }, n) => nodes.replace('a.b', `{"n":${n}}`, null)))).toContain(false);
    const row = (await second.nodes.get('a.b'))!;
    expect(await first.nodes.replace('a.b', '{"n":2}', row.revision)).toBe(true);
    expect(await second.nodes.replace('a.b', '{"n":3}', row.revision)).toBe(false);
    await second.nodes.replace('c', '{}', null);
    expect((await second.nodes.list('a.')).map(({ key, value }) => [key, value])).toEqual([['a.b', '{"n":2}']]);
    await second.nodes.remove('a.b');
    expect(await first.nodes.get('a.b')).toBeNull();
    expect(await first.nodes.replace('a.b', '{}', null)).toBe(true);
    expect(await first.nonces.take('key.nonce')).toBe(true);
    expect(await second.nonces.take('key.nonce')).toBe(false);
    expect(await second.nonces.take('key.other')).toBe(true);
  });

  it('clients that another release stored otherwise are left out, and join again', async () => {
    const address = newFederation();
    const { clients } = await open(address);
    const connection = await shared.server.connect();
    const { Kvm } = await import('@nats-io/kv');
    const bucket = await new Kvm(connection).open(`zk0-${parseNatsAddress(address).federation}-clients`);
    await bucket.put('a', '{"clientId":"a","unknown":1}');
    await bucket.put('b', 'no JSON');
    await connection.close();
    expect(await clients.all()).toEqual([]);
  });

  describe('opening', () => {
    const refusal = (address: string, environment: Record<string, string> = {}): Promise<unknown> =>
      openNatsStores(parseNatsAddress(address), { log: silentLog, environment, patienceMs: 500 }).then(
        async (stores) => { await stores.close(); throw new Error('it was opened'); },
        (error: unknown) => error,
      );

    it('says in one line that nobody is there, and names no secret', async () => {
      const address = `nats://127.0.0.1:${await freePort()}/x`;
      expect(await refusal(address, { ZK0_NATS_TOKEN: 'secret' })).toMatchObject({ code: 'STORE_UNREACHABLE', message: expect.stringMatching(/^nats:\/\/127\.0\.0\.1:\d+\/x: no NATS server answers \((?!.*secret)[^\n]*\)$/) as string });
    });

    it('says in one line that credentials are refused or missing', async () => {
      const guarded = await TestNatsServer.start('authorization { user: zk0, password: right }');
      try {
        for (const environment of [{}, { ZK0_NATS_USER: 'zk0', ZK0_NATS_PASSWORD: 'wrong' }, { ZK0_NATS_TOKEN: 'right' }]) {
          expect(await refusal(guarded.address('x'), environment)).toMatchObject({ code: 'BACKEND_REFUSED', message: expect.stringMatching(/refuses this server/) as string });
        }
        const stores = await openNatsStores(parseNatsAddress(guarded.address('x')), { log: silentLog, environment: { ZK0_NATS_USER: 'zk0', ZK0_NATS_PASSWORD: 'right' } });
        await stores.close();
        expect(await refusal(guarded.address('x'), { ZK0_NATS_CREDS: '/nowhere/zk0.creds' })).toMatchObject({ code: 'BACKEND_REFUSED', message: expect.stringContaining('/nowhere/zk0.creds') as string });
        expect(await refusal(guarded.address('x'), { ZK0_NATS_TOKEN: 'a', ZK0_NATS_USER: 'b' })).toMatchObject({ code: 'BACKEND_REFUSED' });
      } finally {
        await guarded.close();
      }
    });

    it('says in one line that permissions do not suffice', async () => {
      const guarded = await TestNatsServer.start('authorization { users: [{ user: zk0, password: p, permissions: { publish: ["$JS.API.INFO"], subscribe: ["_INBOX.>"] } }] }');
      try {
        expect(await refusal(guarded.address('x'), { ZK0_NATS_USER: 'zk0', ZK0_NATS_PASSWORD: 'p' })).toMatchObject({
          code: 'LEDGER_UNUSABLE', message: expect.stringMatching(/refuses this server \([^\n]*STREAM[^\n]*\)$/) as string,
        });
      } finally {
        await guarded.close();
      }
    });

    it('says at once that a server has no JetStream, or that the account may not use it', async () => {
      const [without, barred] = [await TestNatsServer.start('', false), await TestNatsServer.start('accounts { A: { users: [{ user: u, password: p }] } }\nno_auth_user: u')];
      try {
        for (const server of [without, barred]) {
          const begun = performance.now();
          const opening = openNatsStores(parseNatsAddress(server.address('x')), { log: silentLog, environment: {}, patienceMs: 60_000 });
          await expect(opening).rejects.toMatchObject({ code: 'BACKEND_UNSUITABLE', message: expect.stringContaining('JetStream cannot be used') as string });
          expect(performance.now() - begun).toBeLessThan(10_000);
        }
      } finally {
        await Promise.all([without.close(), barred.close()]);
      }
    });

    it('refuses a server that is too old', async () => {
      const old = await serverOfVersion('2.9.25');
      try {
        expect(await refusal(`nats://127.0.0.1:${old.port}`)).toMatchObject({ code: 'BACKEND_UNSUITABLE', message: expect.stringContaining('is of version 2.9.25, and 2.11 is needed') as string });
      } finally {
        old.server.close();
      }
    });

    it('refuses a ledger of a newer release, and a stream whose limits would remove what it holds', async () => {
      const [newer, forgetful] = [newFederation(), newFederation()];
      for (const address of [newer, forgetful]) await open(address);
      const connection = await shared.server.connect();
      const jsm = await jetstreamManager(connection);
      const streamOf = (address: string): string => `zk0-${parseNatsAddress(address).federation}-ledger`;
      const { config } = await jsm.streams.info(streamOf(newer));
      await jsm.streams.update(streamOf(newer), { metadata: { ...config.metadata, 'zk0-ledger-version': '99' } });
      await jsm.streams.update(streamOf(forgetful), { max_age: nanos(3600_000) });
      await connection.close();
      expect(await refusal(newer)).toMatchObject({ code: 'LEDGER_VERSION', message: expect.stringContaining('has format 99, this release reads up to 1') as string });
      expect(await refusal(forgetful)).toMatchObject({ code: 'BACKEND_UNSUITABLE', message: expect.stringContaining('would remove the history') as string });
    });
  });
});

describe('the address of a NATS server', () => {
  it('has hosts, the name of a federation and how many copies there are', () => {
    expect(parseNatsAddress('nats://a,b:4223,[::1]:1/fed?replicas=3')).toMatchObject({ servers: ['a:4222', 'b:4223', '[::1]:1'], federation: 'fed', replicas: 3, tls: false });
    expect(parseNatsAddress('tls://nats.example')).toMatchObject({ servers: ['nats.example:4222'], federation: 'zk0', replicas: 1, tls: true });
  });

  it('is refused in one line where it is wrong, and never with the credentials in it', () => {
    for (const text of ['', 'http://a', 'nats://', 'nats://a b', 'nats://a:0', 'nats://a:99999', 'nats://a/UPPER', 'nats://a/x.y', 'nats://a?replicas=2', 'nats://a?replica=3', 'nats://a,,b']) {
      expect(() => parseNatsAddress(text), text).toThrow(expect.objectContaining({ code: 'BACKEND_ADDRESS', hint: expect.any(String) as string }) as Error);
    }
    expect(() => parseNatsAddress('nats://me:secret@a')).toThrow(expect.objectContaining({ code: 'BACKEND_ADDRESS', message: expect.not.stringContaining('secret') as string }) as Error);
  });
});

/** A peer that speaks as much NATS as a client asks of an old server when it connects. */
async function serverOfVersion(version: string): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write(`INFO {"server_id":"x","version":"${version}","proto":1,"headers":true,"max_payload":1048576}\r\n`);
    socket.on('data', (data) => {
      if (data.includes('PING')) socket.write('PONG\r\n');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as { port: number }).port };
}

