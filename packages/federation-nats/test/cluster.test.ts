import { setTimeout as wait } from 'node:timers/promises';
import { silentLog, type StoredEntry } from '@zk0/federation';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openNatsStores, parseNatsAddress, type NatsStores } from '../src/index.ts';
import { NO_NATS_SERVER, natsServerBinary, TestNatsServer } from './nats-server.ts';

const entry = (position: number, by: number): StoredEntry => ({ position, at: 1000 + position, event: `{"n":${position},"by":${by}}` });

describe.skipIf(natsServerBinary === undefined)(`a cluster of three NATS servers${natsServerBinary === undefined ? ` (${NO_NATS_SERVER})` : ''}`, () => {
  let servers: TestNatsServer[] = [];
  const opened: NatsStores[] = [];
  beforeAll(async () => {
    servers = await TestNatsServer.startCluster();
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((stores) => stores.close()));
  });
  afterAll(() => Promise.all(servers.map((server) => server.close())));

  it('lets one of two writers win each entry while its servers are killed one after the other, and all read the same', { timeout: 240_000 }, async () => {
    const hosts = servers.map(({ url }) => url.slice('nats://'.length)).join(',');
    const open = async (): Promise<NatsStores> => {
      const stores = await openNatsStores(parseNatsAddress(`nats://${hosts}/cluster?replicas=3`), { log: silentLog, environment: {}, patienceMs: 60_000 });
      opened.push(stores);
      return stores;
    };
    const writers = await Promise.all([open(), open()]);
    const length = 300;
    const won: (readonly [position: number, by: number])[] = [];
    let written = 0;
    const write = async ({ ledger }: NatsStores, by: number): Promise<void> => {
      for (let position = 1; position <= length; ) {
        if (await ledger.append('r', entry(position, by), String(position))) won.push([position, by]);
        // As an engine does: what another wrote is read, and one's own turn is the next.
        const last = (await ledger.run('r'))!.length;
        written = Math.max(written, last);
        position = last + 1;
      }
    };
    const writing = Promise.all(writers.map(write));
    for (const [n, server] of servers.entries()) {
      while (written < (n + 1) * 60) await wait(5);
      await server.kill();
      await wait(500);
      await server.start();
    }
    await writing;
    const histories = await Promise.all([...writers, await open()].map(({ ledger }) => ledger.entries('r')));
    expect(histories[0]!.map(({ position }) => position)).toEqual(Array.from({ length }, (_, n) => n + 1));
    expect(histories[1]).toEqual(histories[0]);
    expect(histories[2]).toEqual(histories[0]);
    // Who was told that it won is who is read.
    expect([...won].sort(([a], [b]) => a - b)).toEqual(histories[0]!.map(({ position, event }) => [position, (JSON.parse(event) as { by: number }).by]));
  });
});
