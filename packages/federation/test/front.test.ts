import { describe, expect, it } from 'vitest';
import { MemoryTaskQueue, type CoordinatorOptions } from '../src/index.ts';
import { MemoryClientStore, MemoryLedgerStore } from '../src/testing.ts';
import { testFederations, type TestFederation } from './harness.ts';
import { config, localModel, until } from './two-numbers.ts';

const { scratch, federation } = testFederations();

/** Servers over one ledger, queue, store of clients and store of blobs. */
async function servers(...made: readonly { readonly holder: string; readonly drives: boolean }[]): Promise<TestFederation[]> {
  const [store, queue, clients] = [new MemoryLedgerStore(), new MemoryTaskQueue(), new MemoryClientStore()];
  const blobs = await scratch.blobs(`blobs-${made.map(({ holder }) => holder).join()}`);
  const all: TestFederation[] = [];
  for (const { holder, drives } of made) all.push(await federation({ queue, clients, blobs, holder, shared: { store, drives } } satisfies Partial<CoordinatorOptions>, store));
  return all;
}

const online = (made: TestFederation): Promise<string[]> => made.coordinator.overview().then(({ clients }) => clients.filter(({ state }) => state !== 'offline' && state !== 'left').map(({ clientId }) => clientId));

describe('servers that answer clients, and one that drives', () => {
  it('clients of all of them take part in a run, which is submitted at one and followed at every one', async () => {
    const [driver, front, other] = await servers({ holder: 'driver', drives: true }, { holder: 'front', drives: false }, { holder: 'other', drives: false }) as [TestFederation, TestFederation, TestFederation];
    const runId = await front.coordinator.submit(config({ rounds: 4, minClients: 3 }));
    const events = front.coordinator.follow(runId, driver.stop.signal);
    const first = events.next();
    await front.join('a', localModel('a', [1, 2]));
    await other.join('b', localModel('b', [3, 4]));
    await other.join('c', localModel('c', [5, 6]));
    driver.clock.advance(6000);
    const ended = await driver.ends(runId);
    expect(ended.phase).toBe('finished');
    expect(ended.rounds.map(({ participants }) => [...participants.keys()].sort())).toEqual(Array.from({ length: 4 }, () => ['a', 'b', 'c']));
    expect((await first).value).toMatchObject({ kind: 'run', runId });
    await until(async () => (await front.ledger.run(runId))!.state.phase === 'finished', 'the front has read the end');
    expect(front.log.matching(/update accepted/)).toHaveLength(4);
    expect(other.log.matching(/update accepted/)).toHaveLength(8);
    expect([driver.failure, front.failure, other.failure]).toEqual([undefined, undefined, undefined]);
  });

  it('a client that goes to another server is asked there, and one that leaves is not waited for', async () => {
    const [driver, front, other] = await servers({ holder: 'the driver', drives: true }, { holder: 'a front', drives: false }, { holder: 'another', drives: false }) as [TestFederation, TestFederation, TestFederation];
    const left = await front.join('a', localModel('a', [1, 2]));
    await other.join('b', localModel('b', [3, 4]));
    await until(async () => (await online(driver)).length === 2, 'the driver knows both');
    // It asks the other server from now on, as with a balancer whose first server has died.
    front.server = other.server;
    const runId = await other.coordinator.submit(config({ rounds: 3, minClients: 2 }));
    driver.clock.advance(6000);
    await driver.ends(runId);
    await until(async () => (await other.coordinator.overview()).clients.length === 2, 'the other server has both');
    left.abort();
    await until(async () => (await online(driver)).join() === 'b', 'the driver has heard that it left');
  });

  it('a server that is not heard any more has no clients, until it is', async () => {
    const [driver, front] = await servers({ holder: 'driver of two', drives: true }, { holder: 'front of two', drives: false }) as [TestFederation, TestFederation];
    await front.join('a', localModel('a', [1, 2]));
    await until(async () => (await online(driver)).join() === 'a', 'the driver knows it');
    // The front's clock stands still, and so does what it says.
    await until(async () => { driver.clock.advance(5000); return (await online(driver)).length === 0; }, 'nobody is there');
    await until(async () => { front.clock.advance(5000); return (await online(driver)).join() === 'a'; }, 'it is back');
  });
});
