import { StorageError, type BlobStore } from '@zk0/storage';
import { describe, expect, it } from 'vitest';
import { ClientRegistry } from '../src/clients/client-registry.ts';
import type { CoordinatorOptions } from '../src/index.ts';
import { FakeClock, MemoryClientStore, MemoryLedgerStore } from '../src/testing.ts';
import { freeLeases, Puppet, testFederations } from './harness.ts';
import { config, localModel, until } from './two-numbers.ts';

const { scratch, federation } = testFederations();

/** Leases that one holder has until the test gives them to another. */
function handedLeases(): { to: string; of: (holder: string) => CoordinatorOptions['leases'] } {
  const leases = {
    to: 'first',
    of: (holder: string): CoordinatorOptions['leases'] => ({
      ...freeLeases,
      acquire: (name) => Promise.resolve(leases.to === holder ? { name, holder, expiresAt: 0 } : null),
    }),
  };
  return leases;
}

/** A blob store of a server that stands still as soon as it opens a blob for an aggregation, until it is let go, and finds the blob gone. */
function standingStill(blobs: BlobStore): { readonly blobs: BlobStore; readonly reached: Promise<void>; readonly release: () => void; armed: boolean } {
  const [reached, released] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
  const made = {
    armed: false,
    reached: reached.promise.then(() => undefined),
    release: () => { released.resolve(undefined); },
    blobs: new Proxy(blobs, {
      get: (target, key) => {
        const value = Reflect.get(target, key, target) as unknown;
        if (typeof value !== 'function') return value;
        return async (...args: unknown[]): Promise<unknown> => {
          if (made.armed && key === 'verifiedFile') {
            reached.resolve(undefined);
            await released.promise;
            throw new StorageError('BLOB_NOT_FOUND', 'no such blob in the store');
          }
          return (value as (...args: unknown[]) => unknown).apply(target, args);
        };
      },
    }),
  };
  return made;
}

describe('two servers on one ledger', () => {
  it('the one that takes over goes on from what the other wrote, and the run has each event once', async () => {
    const [store, leases] = [new MemoryLedgerStore(), handedLeases()];
    const blobs = await scratch.blobs('shared');
    // The second one knows the run as it began, and has not followed it.
    const first = await federation({ leases: leases.of('first'), blobs }, store);
    const runId = await first.coordinator.submit(config({ rounds: 4, minClients: 1 }));
    const second = await federation({ leases: leases.of('second'), blobs }, store);
    await first.join('a', localModel('a', [1, 2]));
    await first.reaches(runId, ({ rounds }) => rounds[0]?.phase === 'done');
    leases.to = 'second';
    first.clock.advance(6000);
    await until(() => first.log.matching(/another server drives the runs now/).length > 0, 'the first server stops driving');
    await second.join('a', localModel('a', [1, 2]));
    second.clock.advance(6000);
    await second.ends(runId);
    const types = (await store.entries(runId)).map(({ event }) => JSON.parse(event) as { type: string; round?: number });
    for (const type of ['round-configured', 'update-accepted', 'round-aggregated', 'round-checkpointed']) {
      expect(types.filter((event) => event.type === type).map(({ round }) => round), type).toEqual([1, 2, 3, 4]);
    }
    expect(second.failure).toBeUndefined();
  });

  it('one that stood still, and finds gone what it needed, does not fail the run that the other drives', async () => {
    const [store, leases] = [new MemoryLedgerStore(), handedLeases()];
    const blobs = await scratch.blobs('shared-too');
    const still = standingStill(blobs);
    const first = await federation({ leases: leases.of('first'), blobs: still.blobs }, store);
    const second = await federation({ leases: leases.of('second'), blobs }, store);
    const runId = await first.coordinator.submit(config({ rounds: 3, minClients: 1 }));
    const client = await new Puppet(first, 'a').join();
    const task = await client.task();
    still.armed = true;
    const update = await blobs.put(await readBytes(blobs, task.parameters.hash));
    const { taskId, round, attempt } = task;
    await first.coordinator.result(client.principal, { taskId, runId, round, attempt, outcome: { ok: true, update, numExamples: 10, metrics: { loss: 1 } } });
    await still.reached;
    leases.to = 'second';
    await second.join('a', localModel('a', [1, 2]));
    second.clock.advance(6000);
    await second.reaches(runId, ({ rounds }) => (rounds[1]?.round ?? 0) > 1);
    still.release();
    await until(() => first.log.matching(/warn .*another server drives the run/).length > 0, 'the first server sees that it is not needed');
    expect((await second.ends(runId)).phase).toBe('finished');
  });
});

describe('a server after another', () => {
  it('knows the clients that the store has as soon as they are heard, without a new join, and asks none that is not there', async () => {
    const [store, clock] = [new MemoryClientStore(), new FakeClock()];
    const options = { clock, silenceMs: 1000, store, onGone: () => undefined };
    const before = new ClientRegistry(options);
    before.join({ clientId: 'a', instance: 'i', name: 'a', agent: 'test', profile: { arms: 1 }, label: 'a', numExamples: 7 });
    before.join({ clientId: 'b', instance: 'i', name: 'b', agent: 'test', profile: {}, label: 'b', numExamples: 1 });
    before.transferred('a', 10, 20);
    await before.flush();
    const after = new ClientRegistry(options);
    const principal = { role: 'client', clientId: 'a', instance: 'i' } as const;
    expect(() => after.seen(principal)).toThrow(expect.objectContaining({ code: 'NOT_JOINED' }) as Error);
    await after.restore();
    expect(after.online()).toEqual([]);
    expect(after.seen(principal)).toMatchObject({ numExamples: 7, profile: { arms: 1 }, bytesUp: 10, bytesDown: 20, activity: { state: 'idle' } });
    expect(after.online().map(({ clientId }) => clientId)).toEqual(['a']);
    expect(() => after.seen({ ...principal, clientId: 'b', instance: 'other' })).toThrow(expect.objectContaining({ code: 'NOT_JOINED' }) as Error);
    clock.advance(25 * 3600_000);
    after.expire();
    clock.advance(25 * 3600_000);
    after.expire();
    await after.flush();
    expect(await store.all()).toEqual([]);
  });

  it('goes on while the store of clients is away, says so once, and writes what it missed', async () => {
    const store = new MemoryClientStore();
    let away = true;
    const put = store.put.bind(store);
    store.put = (client) => (away ? Promise.reject(new StorageError('STORE_UNREACHABLE', 'nats: no answer')) : put(client));
    const warnings: string[] = [];
    const log = { debug: () => undefined, info: () => undefined, warn: (message: string) => void warnings.push(message), error: () => undefined };
    const registry = new ClientRegistry({ clock: new FakeClock(), silenceMs: 1000, store, log, onGone: () => undefined });
    for (const clientId of ['a', 'b']) registry.join({ clientId, instance: 'i', name: clientId, agent: 'test', profile: {}, label: clientId, numExamples: 1 });
    await registry.flush();
    await registry.flush();
    expect(warnings).toEqual(['clients cannot be stored at the moment: nats: no answer']);
    away = false;
    registry.expire();
    await registry.flush();
    expect((await store.all()).map(({ clientId }) => clientId)).toEqual(['a', 'b']);
  });
});

async function readBytes(blobs: BlobStore, hash: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await blobs.openRead(hash)) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
}
