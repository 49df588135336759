import { setTimeout as wait } from 'node:timers/promises';
import { runConfigSchema, type RunEvent } from '@zk0/core';
import { Ledger, silentLog, type StoredEntry } from '@zk0/federation';
import { errors, nanos } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseNatsAddress } from '../src/index.ts';
import { LedgerStream } from '../src/ledger/ledger-stream.ts';
import { NatsLedgerStore } from '../src/ledger/nats-ledger-store.ts';
import { NatsLink } from '../src/nats/connection.ts';
import { NO_NATS_SERVER, natsServerBinary, TestNatsServer } from './nats-server.ts';

const entry = (position: number, event = `{"n":${position}}`): StoredEntry => ({ position, at: 1000 + position, event });
const created = (runId: string): RunEvent => ({ type: 'run-created', runId, config: runConfigSchema.parse({ rounds: 2, minClients: 1 }) });
const started: RunEvent = { type: 'run-started', parameters: { hash: 'a'.repeat(64), byteLength: 8 }, context: { run: {} }, clients: ['a'] };
const baseline: RunEvent = { type: 'round-evaluated', round: 0, evaluation: null };
const configured: RunEvent = { type: 'round-configured', round: 1, assignments: [{ clientId: 'a', instructions: {} }] };

describe.skipIf(natsServerBinary === undefined)(`the ledger on NATS${natsServerBinary === undefined ? ` (${NO_NATS_SERVER})` : ''}`, () => {
  let server: TestNatsServer;
  let federations = 0;
  const links: NatsLink[] = [];
  beforeAll(async () => {
    server = await TestNatsServer.start();
  });
  afterEach(async () => {
    await Promise.all(links.splice(0).map((link) => link.close()));
  });
  afterAll(() => server.close());

  const newAddress = (): string => server.address(`ledger-${federations++}`);
  const open = async (address = newAddress(), patienceMs = 15_000): Promise<{ link: NatsLink; stream: LedgerStream; store: NatsLedgerStore }> => {
    const link = await NatsLink.open(parseNatsAddress(address), { log: silentLog, patienceMs });
    links.push(link);
    const stream = await LedgerStream.open(link);
    return { link, stream, store: new NatsLedgerStore(stream) };
  };
  /** The next answer to an append is lost after what it asked for was done. */
  const loseAnAnswer = ({ js }: NatsLink, afterMs = 0): void => {
    const publish = js.publish.bind(js);
    js.publish = async (...args) => {
      js.publish = publish;
      await publish(...args);
      await wait(afterMs);
      throw new errors.TimeoutError();
    };
  };

  it('has an entry once whose answer was lost, also when the server does not remember the attempt any more', async () => {
    const { link, stream, store } = await open();
    await store.append('r', entry(1), 'one');
    loseAnAnswer(link);
    expect(await store.append('r', entry(2), 'two')).toBe(true);
    const { config } = await link.jsm.streams.info(stream.name);
    await link.jsm.streams.update(stream.name, { ...config, duplicate_window: nanos(100) });
    loseAnAnswer(link, 400);
    expect(await store.append('r', entry(3), 'three')).toBe(true);
    expect(await store.append('r', entry(4), 'four')).toBe(true);
    expect(await store.entries('r')).toEqual([entry(1), entry(2), entry(3), entry(4)]);
    loseAnAnswer(link, 400);
    expect(await store.secret('r')).toEqual(await store.secret('r'));
  });

  it('tells a writer whose answer was lost from one that was slower', async () => {
    const address = newAddress();
    const [first, second] = [await open(address), await open(address)];
    await first.store.append('r', entry(1), 'one');
    await second.store.entries('r');
    await first.store.append('r', entry(2, '{"by":"first"}'), 'two');
    await first.store.append('r', entry(3), 'three');
    expect(await second.store.append('r', entry(2, '{"by":"second"}'), 'other')).toBe(false);
    expect(await second.store.entries('r', 2)).toEqual([entry(2, '{"by":"first"}'), entry(3)]);
    expect(await second.store.append('r', entry(4), 'four')).toBe(true);
    expect((await first.store.run('r'))!.summary).toBe('four');
  });

  it('lets servers that write at once choose again until each has had its turn, and the same history is read by all', async () => {
    const address = newAddress();
    const ledgers = await Promise.all([1, 2, 3].map(async () => Ledger.open((await open(address)).store)));
    for (const event of [created('r'), started, baseline, configured]) await ledgers[0]!.record('r', event);
    const flips = ledgers.map(async (ledger) => {
      let written = 0;
      while (written < 20) {
        const { recorded } = await ledger.record('r', (state) => {
          const isLeft = state?.rounds[0]?.participants.get('a')?.outcome.state === 'left';
          return { type: isLeft ? 'participant-returned' : 'participant-left', round: 1, clientId: 'a' };
        });
        if (recorded) written++;
      }
    });
    await Promise.all(flips);
    const histories = await Promise.all(ledgers.map((ledger) => ledger.entries('r')));
    expect(histories[0]).toHaveLength(4 + 60);
    expect(histories[1]).toEqual(histories[0]);
    expect((await ledgers[2]!.refresh('r'))!.length).toBe(64);
    const types = histories[0]!.slice(4).map(({ event }) => event.type);
    expect(types.filter((type, index) => type === (index % 2 === 0 ? 'participant-left' : 'participant-returned'))).toHaveLength(60);
  });

  it('takes entries that are larger than a message, as long as they can be compressed, and refuses others in one line', async () => {
    const { store, link } = await open();
    const assignments = Array.from({ length: 50_000 }, (_, n) => `{"clientId":"client-${n}","instructions":{"localSteps":50,"learningRate":0.0001}}`);
    const large = entry(1, `[${assignments.join(',')}]`);
    expect(large.event.length).toBeGreaterThan(3 * link.maxBytes);
    expect(await store.append('r', large, 'large')).toBe(true);
    expect(await (await open(link.address.text)).store.entries('r')).toEqual([large]);
    const noise = entry(2, JSON.stringify(Array.from({ length: 200_000 }, (_, n) => Math.sin(n * n).toString(36))));
    await expect(store.append('r', noise, 'noise')).rejects.toMatchObject({ code: 'EVENT_INVALID', message: expect.stringContaining('too large for the NATS server') as string });
    expect((await store.run('r'))!.length).toBe(1);
  });

  it('notices an entry that nobody appended, and sets the run aside while others go on', async () => {
    const { store, stream, link } = await open();
    for (const runId of ['r', 'other']) for (const [index, event] of [created(runId), started, baseline].entries()) await store.append(runId, entry(index + 1, JSON.stringify(event)), '');
    const last = (await stream.last(stream.subject('run', 'r')))!;
    last.header.delete('Nats-Expected-Last-Subject-Sequence');
    await link.js.publish(stream.subject('run', 'r'), last.data, { headers: last.header, msgID: 'another' });
    const ledger = await Ledger.open((await open(link.address.text)).store);
    expect((await ledger.summaries()).map(({ runId, phase }) => [runId, phase])).toEqual([['r', 'unreadable'], ['other', 'running']]);
    expect(await ledger.openRuns()).toEqual(['other']);
  });

  it('lists runs by one request, whatever the length of their histories, as long as nothing has happened', async () => {
    const { store, link } = await open();
    for (const runId of ['c', 'b.*', 'a']) await store.append(runId, entry(1), runId);
    expect((await store.runs()).map(({ runId }) => runId)).toEqual(['c', 'b.*', 'a']);
    const before = link.connection.stats().outMsgs;
    await store.runs();
    expect(link.connection.stats().outMsgs - before).toBe(1);
  });

  it('keeps what it has acknowledged when the server is killed, and goes on by itself when it is back', { timeout: 60_000 }, async () => {
    const { store } = await open();
    let acknowledged = 0;
    const writing = (async () => {
      for (let position = 1; position <= 300; position++) {
        expect(await store.append('r', entry(position), `${position}`)).toBe(true);
        acknowledged = position;
      }
    })();
    for (const at of [100, 200]) {
      while (acknowledged < at) await wait(1);
      await server.kill();
      await wait(50);
      await server.start();
    }
    await writing;
    const { store: other } = await open(links.at(-1)!.address.text);
    expect((await other.entries('r')).map(({ position }) => position)).toEqual(Array.from({ length: 300 }, (_, n) => n + 1));
  });

  it('says that the server is away as trouble that passes, waits for a slow one, and writes nothing twice', { timeout: 60_000 }, async () => {
    const { store, link } = await open(newAddress(), 1000);
    await store.append('r', entry(1), 'one');
    await server.kill();
    await expect(store.append('r', entry(2), 'two')).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', message: expect.stringContaining(link.address.text) as string });
    await server.start();
    const { store: patient } = await open(link.address.text);
    server.freeze();
    const slow = patient.append('r', entry(2), 'two');
    await wait(1500);
    server.thaw();
    expect(await slow).toBe(true);
    expect(await patient.entries('r')).toEqual([entry(1), entry(2)]);
    // The first writer reads what has happened meanwhile.
    expect(await store.append('r', entry(2, '{"other":1}'), 'other')).toBe(false);
    expect(await store.append('r', entry(3), 'three')).toBe(true);
  });
});
