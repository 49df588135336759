/**
 * Moves one large blob up and down between two processes on loopback, beside what the disk, the hash and the loopback
 * can do by themselves. `npx nx bench transport`, or with a size in MB: `… -- 100`.
 */
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { connect as tcpConnect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '@zk0/core';
import { openBlobStore } from '@zk0/storage';
import { adminClient, connect } from '../src/index.ts';

const megabytes = Number(process.argv[2] ?? 400);
const size = megabytes * 1e6;
const MESSAGES = 2000;
const root = await mkdtemp(join(tmpdir(), 'zk0-bench-'));

/** Seeded bytes in pieces; every call gives the same. */
function* content(seed: number): Generator<Uint8Array> {
  const random = new Random(seed);
  const words = new Uint32Array(1 << 18);
  for (let index = 0; index < words.length; index++) words[index] = random.uint32();
  for (let left = size, count = 0; left > 0; count++) {
    words[0] = count;
    const piece = new Uint8Array(words.buffer, 0, Math.min(left, words.byteLength));
    left -= piece.byteLength;
    yield piece;
  }
}

async function rate(work: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  await work();
  return Math.round(megabytes / ((performance.now() - begun) / 1000));
}

/** Plain writing with one fsync at the end. */
async function writeFile(path: string, seed: number): Promise<void> {
  const handle = await open(path, 'w');
  for (const piece of content(seed)) await handle.write(piece);
  await handle.sync();
  await handle.close();
}

/** Bytes through a TCP connection to this same process, thrown away. */
async function loopback(): Promise<void> {
  const server = createServer((socket) => socket.resume().on('end', () => socket.end()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const socket = tcpConnect((server.address() as AddressInfo).port, '127.0.0.1').resume();
  for (const piece of content(0)) {
    if (!socket.write(piece)) await new Promise((resolve) => socket.once('drain', resolve));
  }
  socket.end();
  await new Promise((resolve) => socket.once('close', resolve));
  server.close();
}

const rows: [string, string][] = [];
try {
  rows.push(['disk: write + fsync', `${await rate(() => writeFile(join(root, 'up'), 1))} MB/s`]);
  await writeFile(join(root, 'down'), 2);
  rows.push(['sha256', `${await rate(() => {
    const hash = createHash('sha256');
    for (const piece of content(1)) hash.update(piece);
    hash.digest();
    return Promise.resolve();
  })} MB/s`]);
  rows.push(['loopback TCP', `${await rate(loopback)} MB/s`]);

  const local = await openBlobStore(join(root, 'local'));
  const far = await openBlobStore(join(root, 'far'));
  const up = await local.putFile(join(root, 'up'));
  const down = await far.putFile(join(root, 'down'));
  const peer = fork(new URL('peer.ts', import.meta.url), [join(root, 'far')]);
  const url = await new Promise<string>((resolve) => peer.once('message', (message) => { resolve(message as string); }));
  const client = connect({ url, clientId: 'bench', instance: 'bench' });
  const admin = adminClient({ url });
  await client.join({ name: 'bench', agent: 'bench', profile: {} });
  const restingRss = Math.round(process.memoryUsage().rss / 1e6);
  // Processor time says what a transfer costs, also on a machine that is busy with other things.
  const moved = async (name: string, work: () => Promise<void>): Promise<void> => {
    const [here, there] = [cpuMs(), await farCpuMs()];
    const speed = await rate(work);
    const perGigabyte = (ms: number): string => (ms / megabytes).toFixed(1);
    rows.push([name, `${speed} MB/s; processor ${perGigabyte(cpuMs() - here)} + ${perGigabyte((await farCpuMs()) - there)} s/GB (client + server)`]);
  };
  const farCpuMs = async (): Promise<number> => (await admin.status())['cpuMs'] as number;
  await moved('upload', () => client.upload(up.hash, local));
  await moved('download', () => client.download(down.hash, down.byteLength, local));
  rows.push(['again, both (nothing is sent)', `${(await time(async () => {
    await client.upload(up.hash, local);
    await client.download(down.hash, down.byteLength, local);
  })).toFixed(1)} ms`]);
  rows.push(['control message, round trip', `${((await time(async () => {
    for (let step = 0; step < MESSAGES; step++) {
      await client.heartbeat({ progress: { taskId: 't', phase: 'training', step, totalSteps: MESSAGES, loss: 0.5 } });
    }
  })) / MESSAGES).toFixed(2)} ms`]);
  rows.push(['client memory, before → peak', `${restingRss} → ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`]);
  rows.push(['server memory, peak', `${(await admin.status())['peakRssMb'] as number} MB`]);
  await client.close();
  await admin.close();
  peer.disconnect();
} finally {
  await rm(root, { recursive: true, force: true });
}
const width = Math.max(...rows.map(([name]) => name.length));
process.stdout.write(`${megabytes} MB\n${rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')}\n`);

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function time(work: () => Promise<void>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}
