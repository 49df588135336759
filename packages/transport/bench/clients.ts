import { createHash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobStore } from '@zk0/storage';
import { connect, enroll, generateNodeKey, type ConnectOptions, type TransportClient } from '../src/index.ts';
import { clock, content, Peer, percentile } from './shared.ts';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const TOKEN_USES = 1000;
const BATCH = 200;

/** So many clients that wait for work, each with a poll and a heartbeat, and how soon a task reaches one of them. */
export async function benchIdle(root: string, count: number, options: { readonly signed: boolean; readonly seconds: number }): Promise<string[]> {
  const { signed, seconds } = options;
  const directory = join(root, 'idle');
  await mkdir(directory);
  const peer = await Peer.start('peer.ts', directory, ...(signed ? ['signed'] : []));
  const empty = await peer.usage();
  const failures: string[] = [];
  const clients = await connectAll(peer, count, signed, failures);
  const latencies: number[] = [];
  const abort = new AbortController();
  const polls = clients.map(async (client) => {
    client.startHeartbeat();
    for (;;) {
      const task = await client.poll(abort.signal);
      if (task === null) return;
      latencies.push(clock() - (task.instructions['at'] as number));
    }
  });
  while ((await peer.usage()).waiting < count) await sleep(200);
  await sleep(5000);
  const before = await peer.usage();
  await sleep(seconds * 1000);
  const after = await peer.usage();
  for (let index = 0; index < 1000; index++) {
    void peer.ask('give', `client-${(index * 7919) % count}`);
    await sleep(10);
  }
  await sleep(1000);
  const single = latencies.splice(0);
  await peer.ask('all');
  while (latencies.length < count * 0.99) await sleep(100);
  abort.abort();
  await Promise.all(polls);
  await Promise.all(clients.map((client) => client.close()));
  await peer.stop();
  await rm(directory, { recursive: true });
  const ms = (values: readonly number[], share: number): string => percentile(values, share).toFixed(1);
  return [
    `${count} idle clients${signed ? ' with keys' : ''}, over ${seconds} s`,
    `  server's memory       ${empty.rssMb} MB without clients, ${after.rssMb} MB with, peak ${after.peakRssMb} MB`,
    `  server's processor    ${((after.cpuMs - before.cpuMs) / (seconds * 10)).toFixed(2)} % of a core`,
    `  a task to one client  p50 ${ms(single, 50)} ms, p99 ${ms(single, 99)} ms (${single.length} tasks)`,
    `  a task to all         p50 ${ms(latencies, 50)} ms, p99 ${ms(latencies, 99)} ms`,
    `  failed attempts       ${failures.length}${failures.length === 0 ? '' : ` (${[...new Set(failures)].join(', ')})`}`,
  ];
}

/** So many clients that send updates of so many MB at the same time, and report. */
export async function benchFinish(root: string, count: number, megabytes: number, signed: boolean): Promise<string[]> {
  const directory = join(root, 'finish');
  await mkdir(directory);
  const peer = await Peer.start('peer.ts', directory, ...(signed ? ['signed'] : []));
  const failures: string[] = [];
  const clients = await connectAll(peer, count, signed, failures);
  const base = content(megabytes * 1e6, 1);
  const updates = clients.map((_client, index) => memoryBlob(base, index));
  const before = await peer.usage();
  const begun = performance.now();
  const ends = await Promise.all(
    clients.map(async (client, index) => {
      const { hash, store } = updates[index]!;
      client.startHeartbeat({ intervalMs: 2000 });
      await client.upload(hash, store);
      const outcome = { ok: true, update: { hash, byteLength: megabytes * 1e6 }, numExamples: 1, metrics: {} } as const;
      await client.result({ taskId: 't', runId: 'r', round: 1, attempt: 1, outcome });
      return performance.now() - begun;
    }),
  );
  const after = await peer.usage();
  await Promise.all(clients.map((client) => client.close()));
  await peer.stop();
  await rm(directory, { recursive: true });
  const total = Math.max(...ends) / 1000;
  return [
    `${count} clients${signed ? ' with keys' : ''} finish together with ${megabytes} MB each`,
    `  all of it             ${total.toFixed(1)} s, ${Math.round((count * megabytes) / total)} MB/s`,
    `  results               ${after.results - before.results} of ${count}`,
    `  server's memory, peak ${after.peakRssMb} MB`,
    `  failed attempts       ${failures.length}${failures.length === 0 ? '' : ` (${[...new Set(failures)].join(', ')})`}`,
  ];
}

async function connectAll(peer: Peer, count: number, signed: boolean, failures: string[]): Promise<TransportClient[]> {
  const clients: TransportClient[] = [];
  let token = '';
  for (let begin = 0; begin < count; begin += BATCH) {
    if (signed && begin % TOKEN_USES === 0) token = await peer.ask<string>('token');
    const batch = Array.from({ length: Math.min(BATCH, count - begin) }, (_, index) => begin + index);
    clients.push(
      ...(await Promise.all(
        batch.map(async (index) => {
          const identity = { url: peer.url, clientId: `client-${index}`, instance: 'bench' };
          const client = connect({
            ...identity,
            ...(signed ? await enrolled(identity, token) : {}),
            onConnectionState: (state) => { if (state.state === 'retrying') failures.push(state.error.code); },
          });
          await client.join({ name: 'bench', agent: 'bench', profile: {} });
          return client;
        }),
      )),
    );
  }
  return clients;
}

async function enrolled(identity: Pick<ConnectOptions, 'url' | 'clientId' | 'instance'>, token: string): Promise<Pick<ConnectOptions, 'enrolment'>> {
  const key = generateNodeKey();
  const { serverId } = await enroll({ ...identity, token, key, dataset: 'bench' });
  return { enrolment: { key, serverId } };
}

/** A blob that differs from the others in its first bytes, read from memory: the clients' disks are not what is measured. */
function memoryBlob(base: Buffer, index: number): { hash: string; store: BlobStore } {
  const head = Buffer.from(base.subarray(0, 1024));
  head.writeUInt32LE(index, 0);
  const hash = createHash('sha256').update(head).update(base.subarray(1024)).digest('hex');
  async function* bytes(start: number, end: number): AsyncGenerator<Uint8Array> {
    await Promise.resolve();
    if (start < head.length) yield head.subarray(start, Math.min(end, head.length));
    for (let at = Math.max(start, head.length); at < end; at += 1 << 18) yield base.subarray(at, Math.min(end, at + (1 << 18)));
  }
  const store = {
    size: () => Promise.resolve(base.length),
    openRead: (_hash: string, { start, end } = { start: 0, end: base.length }) =>
      Promise.resolve({ [Symbol.asyncIterator]: () => bytes(start, end), close: () => Promise.resolve() }),
  };
  return { hash, store: store as unknown as BlobStore };
}
