import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { appendFile, open, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { openBlobStore, type BlobStore } from '@zk0/storage';
import { connect } from '../src/index.ts';
import { choppingProxy } from '../test/chopping-proxy.ts';
import { content, median, Peer } from './shared.ts';

const PIECE = 4_000_000;
const RUNS = 3;

/** Blobs of so many MB up and down, beside what node:http and the disk do alone, one after the other and all of it three times. */
export async function benchBlobs(root: string, megabytes: number): Promise<string[]> {
  const source = join(root, 'source');
  await writeSource(source, megabytes, 0);
  const bare = await Peer.start('bare.ts', source);
  const rates: Record<'disk' | 'bareUp' | 'bareDown' | 'up' | 'down', number[]> = { disk: [], bareUp: [], bareDown: [], up: [], down: [] };
  let server = 0;
  const timed = async (name: keyof typeof rates, work: () => Promise<unknown>): Promise<void> => {
    const begun = performance.now();
    await work();
    rates[name].push(megabytes / ((performance.now() - begun) / 1000));
  };
  for (let run = 0; run < RUNS; run++) {
    const directory = join(root, `run-${run}`);
    const local = await openBlobStore(join(directory, 'local'));
    const far = await openBlobStore(join(directory, 'far'));
    await writeSource(join(root, 'up'), megabytes, 2 * run + 1);
    await writeSource(join(root, 'down'), megabytes, 2 * run + 2);
    const [up, down] = [await local.putFile(join(root, 'up')), await far.putFile(join(root, 'down'))];
    const peer = await Peer.start('peer.ts', directory);
    const client = connect({ url: peer.url, clientId: 'bench', instance: 'bench' });
    await client.join({ name: 'bench', agent: 'bench', profile: {} });
    await timed('disk', () => writeSource(join(root, 'disk'), megabytes, 9));
    await timed('bareUp', () => bareUp(bare.url, source));
    await timed('up', () => client.upload(up.hash, local));
    await timed('bareDown', () => bareDown(bare.url));
    await timed('down', () => client.download(down.hash, down.byteLength, local));
    server = Math.max(server, (await peer.usage()).peakRssMb);
    await client.close();
    await peer.stop();
    await rm(directory, { recursive: true });
  }
  await bare.stop();
  const of = (name: keyof typeof rates): number => Math.round(median(rates[name]));
  return [
    `${megabytes} MB, medians of ${RUNS} (MB/s)`,
    `  disk alone, write + fsync     ${of('disk')}`,
    `  up: node:http alone ${of('bareUp')}, transport ${of('up')} (${share(rates.up, rates.bareUp)})`,
    `  down: node:http alone ${of('bareDown')}, transport ${of('down')} (${share(rates.down, rates.bareDown)})`,
    `  server's memory, peak         ${server} MB`,
    `  client's memory, peak         ${Math.round((process.resourceUsage().maxRSS * 1024) / 1e6)} MB`,
  ];
}

/** What ten cuts of a transfer of so many MB cost in bytes that are sent again. */
export async function benchCuts(root: string, megabytes: number): Promise<string[]> {
  const cuts = 10;
  const directory = join(root, 'cuts');
  const local = await openBlobStore(join(directory, 'local'));
  const far = await openBlobStore(join(directory, 'far'));
  await writeSource(join(root, 'up'), megabytes, 1);
  await writeSource(join(root, 'down'), megabytes, 2);
  const [up, down] = [await local.putFile(join(root, 'up')), await far.putFile(join(root, 'down'))];
  const peer = await Peer.start('peer.ts', directory);
  const again = async (direction: 'up' | 'down', work: (url: string, store: BlobStore) => Promise<void>): Promise<string> => {
    const part = Math.floor((megabytes * 1e6) / (cuts + 1));
    const line = await choppingProxy(peer.url, Array.from({ length: cuts }, () => ({ [direction]: part })));
    await work(line.url, local);
    const sent = direction === 'up' ? line.bytesUp : line.bytesDown;
    await line.close();
    return `${((sent - megabytes * 1e6) / cuts / 1e6).toFixed(2)} MB`;
  };
  const with1 = (url: string): ReturnType<typeof connect> => connect({ url, clientId: 'bench', instance: 'bench', retry: { initialMs: 200 } });
  const rows = [
    `a cut of ${megabytes} MB, mean of ${cuts}: sent again`,
    `  up    ${await again('up', async (url, store) => { const client = with1(url); await client.upload(up.hash, store); await client.close(); })}`,
    `  down  ${await again('down', async (url, store) => {
      const client = with1(url);
      await client.download(down.hash, down.byteLength, store);
      await client.close();
    })}`,
  ];
  await peer.stop();
  await rm(directory, { recursive: true });
  return rows;
}

async function writeSource(path: string, megabytes: number, seed: number): Promise<void> {
  const piece = content(PIECE, seed);
  await rm(path, { force: true });
  for (let left = megabytes * 1e6; left > 0; left -= PIECE) {
    piece.writeUInt32LE(left >>> 0, 0);
    await appendFile(path, piece.subarray(0, Math.min(left, PIECE)));
  }
  const handle = await open(path, 'r+');
  await handle.sync();
  await handle.close();
}

function bareUp(url: string, source: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    const sending = request(url, { method: 'POST' }, (reply) => {
      reply.resume().on('end', resolve);
    }).on('error', reject);
    createReadStream(source, { highWaterMark: 1 << 18 }).on('data', (chunk) => hash.update(chunk)).on('end', () => hash.digest()).pipe(sending);
  });
}

function bareDown(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256');
    request(url, (reply) => {
      reply.on('data', (chunk: Buffer) => hash.update(chunk)).on('end', () => { hash.digest(); resolve(); });
    }).on('error', reject).end();
  });
}

function share(ours: readonly number[], theirs: readonly number[]): string {
  return `${Math.round(100 * median(ours.map((rate, index) => rate / theirs[index]!)))} %`;
}
