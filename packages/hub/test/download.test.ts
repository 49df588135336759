import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FetchProgress } from '../src/index.ts';
import type { TestFault, TestHub, TestRequest } from '../src/testing.ts';
import { client, noise, scratch, testHub } from './scratch.ts';

const SMALL = Buffer.from('{"a": 1}\n');
const LARGE = noise(3_000_000);
const REPOSITORY = { type: 'model', name: 'owner/name' } as const;
const ETAG_SMALL = spawnSync('git', ['hash-object', '--stdin'], { input: SMALL, encoding: 'utf8' }).stdout.trim();

function serve(server: TestHub): string {
  return server.serve({ ...REPOSITORY, files: { 'config.json': SMALL, 'deep/er/model.safetensors': LARGE, 'README.md': Buffer.alloc(0) } });
}

const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');
const isContent = ({ url, method }: TestRequest): boolean => method === 'GET' && /\/(?:resolve|content)\//.test(url);

/** Every file below a folder, links not followed. */
function tree(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

async function fetchAll(server: TestHub, cache: string, options: Parameters<typeof client>[2] = {}): Promise<string> {
  const hub = await client(server, cache, options);
  const snapshot = await hub.snapshot(REPOSITORY);
  await snapshot.fetchFolder('', () => true);
  return snapshot.directory;
}

describe('a snapshot', () => {
  it('is laid out as huggingface_hub does it', async () => {
    const [server, cache] = [await testHub(), scratch()];
    const commit = serve(server);
    const progress: FetchProgress[] = [];
    const hub = await client(server, cache);
    const snapshot = await hub.snapshot(REPOSITORY);
    expect(await snapshot.fetchFolder('', () => true, { onProgress: (now) => progress.push(now) })).toEqual(['README.md', 'config.json', 'deep/er/model.safetensors']);
    const root = join(cache, 'models--owner--name');
    expect(readFileSync(join(root, 'refs/main'), 'utf8')).toBe(commit);
    expect(snapshot.directory).toBe(join(root, 'snapshots', commit));
    expect(readlinkSync(join(snapshot.directory, 'config.json'))).toBe(`../../blobs/${ETAG_SMALL}`);
    expect(readlinkSync(join(snapshot.directory, 'deep/er/model.safetensors'))).toMatch(/^\.\.\/\.\.\/\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(readFileSync(join(snapshot.directory, 'deep/er/model.safetensors')).equals(LARGE)).toBe(true);
    expect(readdirSync(join(root, 'blobs'))).toHaveLength(3);
    expect(tree(join(cache, '.locks'))).toEqual([]);
    expect(progress.at(-1)).toEqual({ files: 3, totalFiles: 3, bytes: SMALL.length + LARGE.length, totalBytes: SMALL.length + LARGE.length });
  });

  it('asks for nothing that is there, and fetches only what is wanted', async () => {
    const [server, cache] = [await testHub(), scratch()];
    const commit = serve(server);
    const hub = await client(server, cache);
    const first = await hub.snapshot(REPOSITORY);
    expect(await first.fetchPaths(['config.json', 'absent.json', 'no/such/folder.json'])).toEqual(['absent.json', 'no/such/folder.json']);
    expect(server.requests.filter(isContent)).toHaveLength(1);
    server.requests.length = 0;
    const pinned = await hub.snapshot(REPOSITORY, commit);
    expect(await pinned.fetchPaths(['config.json'])).toEqual([]);
    expect(server.requests).toEqual([]);
    await pinned.fetchFolder('', () => true);
    expect(server.requests.filter(isContent).map(({ url }) => url)).not.toContainEqual(expect.stringContaining('config.json'));
  });

  it('follows a branch that moves, and shares what did not change', async () => {
    const [server, cache] = [await testHub(), scratch()];
    serve(server);
    await fetchAll(server, cache);
    const moved = server.serve({ ...REPOSITORY, files: { 'config.json': Buffer.from('{}'), 'deep/er/model.safetensors': LARGE } });
    server.requests.length = 0;
    const directory = await fetchAll(server, cache);
    expect(directory).toContain(moved);
    expect(server.requests.filter(isContent)).toHaveLength(1);
    expect(statSync(join(directory, 'deep/er/model.safetensors')).size).toBe(LARGE.length);
  });

  it('lists page by page', async () => {
    const server = await testHub({ pageSize: 7 });
    const files = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`data/file ${i}#?.txt`, Buffer.from(String(i))]));
    server.serve({ ...REPOSITORY, files });
    const snapshot = await (await client(server, scratch())).snapshot(REPOSITORY);
    expect(await snapshot.fetchFolder('data', () => true)).toHaveLength(30);
    expect(readFileSync(join(snapshot.directory, 'data/file 7#?.txt'), 'utf8')).toBe('7');
    expect(server.requests.filter(({ url }) => url.includes('/tree/'))).toHaveLength(5);
  });

  it('holds the files themselves where links cannot be made', async () => {
    const [server, cache] = [await testHub(), scratch()];
    serve(server);
    const directory = await fetchAll(server, cache, { environment: { HF_HUB_DISABLE_SYMLINKS: '1', HF_HOME: cache } });
    expect(lstatSync(join(directory, 'config.json')).isSymbolicLink()).toBe(false);
    expect(readFileSync(join(directory, 'config.json')).equals(SMALL)).toBe(true);
    expect(readdirSync(join(cache, 'models--owner--name/blobs'))).toEqual([]);
    server.requests.length = 0;
    await fetchAll(server, cache);
    expect(server.requests.filter(isContent)).toEqual([]);
  });
});

describe('a download that breaks', () => {
  it('goes on where the connection was cut, until it is whole', async () => {
    const [server, cache] = [await testHub(), scratch()];
    serve(server);
    server.fault = (request) => (request.host === 'cdn' ? { cutAfter: 1_000_000 } : undefined);
    const directory = await fetchAll(server, cache);
    expect(readFileSync(join(directory, 'deep/er/model.safetensors')).equals(LARGE)).toBe(true);
    const ranges = server.requests.filter(({ host }) => host === 'cdn').map(({ headers }) => headers['range']);
    expect(ranges[0]).toBeUndefined();
    expect(ranges.length).toBeGreaterThanOrEqual(3);
    expect(ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? ''))).toBe(true);
  });

  it('leaves a resumable file and no half one, and the next call goes on', async () => {
    const [server, cache] = [await testHub(), scratch()];
    serve(server);
    server.fault = (request) => {
      if (request.host !== 'cdn') return undefined;
      return request.headers['range'] === undefined ? { cutAfter: 500_000 } : { status: 503 };
    };
    await expect(fetchAll(server, cache, { maxFailures: 3 })).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' });
    const blobs = readdirSync(join(cache, 'models--owner--name/blobs')).filter((name) => name.length >= 64);
    expect(blobs).toEqual([expect.stringMatching(/^[0-9a-f]{64}\.incomplete$/)]);
    const left = statSync(join(cache, 'models--owner--name/blobs', blobs[0]!)).size;
    expect(left).toBeGreaterThan(0);
    server.fault = () => undefined;
    server.requests.length = 0;
    const directory = await fetchAll(server, cache);
    expect(server.requests.find(({ host }) => host === 'cdn')?.headers['range']).toBe(`bytes=${left}-`);
    expect(readFileSync(join(directory, 'deep/er/model.safetensors')).equals(LARGE)).toBe(true);
    expect(tree(cache).filter((path) => path.endsWith('.incomplete'))).toEqual([]);
  });

  it('begins again on a server that knows no ranges', async () => {
    const [server, cache] = [await testHub(), scratch()];
    serve(server);
    let cuts = 2;
    server.fault = (request) => (request.host !== 'cdn' ? undefined : cuts-- > 0 ? { cutAfter: 400_000 } : { ignoreRange: true });
    const directory = await fetchAll(server, cache);
    expect(readFileSync(join(directory, 'deep/er/model.safetensors')).equals(LARGE)).toBe(true);
  });

  it.each([
    ['Retry-After', { 'retry-after': '1' }],
    ['the hub’s RateLimit', { ratelimit: '"api";r=0;t=1' }],
  ])('waits as long as %s says', async (_, headers) => {
    const [server, cache] = [await testHub(), scratch()];
    serve(server);
    const answers: TestFault[] = [{ status: 429, headers }, { status: 503 }, { status: 500 }];
    server.fault = ({ url }) => (url.includes('/revision/') ? answers.shift() : undefined);
    const delays: number[] = [];
    await fetchAll(server, cache, { onRetry: ({ delayMs }) => delays.push(delayMs) });
    expect(delays).toHaveLength(3);
    expect(delays[0]).toBe(1000);
    expect(Math.max(...delays.slice(1))).toBeLessThan(100);
  });

  it.each([{ stallAfter: 10_000 }, { trickleAfter: 10_000 }])('fails when no more than a trickle comes: %j', async (fault) => {
    const [server, cache] = [await testHub(), scratch()];
    serve(server);
    server.fault = (request) => (request.host === 'cdn' ? fault : undefined);
    await expect(fetchAll(server, cache, { noProgressMs: 60, maxFailures: 2 })).rejects.toMatchObject({ code: 'HUB_STALLED' });
  });

  it('ends on abort and leaves what came', async () => {
    const [server, cache, abort] = [await testHub(), scratch(), new AbortController()];
    serve(server);
    server.fault = (request) => (request.host === 'cdn' ? { stallAfter: 1_500_000 } : undefined);
    const snapshot = await (await client(server, cache)).snapshot(REPOSITORY);
    const running = snapshot.fetchFolder('', () => true, {
      signal: abort.signal,
      onProgress: ({ bytes }) => {
        if (bytes > 1_000_000) abort.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(tree(cache).filter((path) => path.endsWith('.incomplete'))).toEqual([expect.stringMatching(/blobs\/[0-9a-f]{64}\.incomplete$/)]);
    expect(tree(join(cache, '.locks'))).toEqual([]);
    expect(existsSync(join(snapshot.directory, 'deep/er/model.safetensors'))).toBe(false);
  });

  it('goes on from what a killed process left, at once', async () => {
    const [server, cache] = [await testHub(), scratch()];
    serve(server);
    const etag = sha256(LARGE);
    const [blobs, locks] = [join(cache, 'models--owner--name/blobs'), join(cache, '.locks/models--owner--name')];
    for (const folder of [blobs, locks]) mkdirSync(folder, { recursive: true });
    // What a process had that is not there any more: its lock, and its partial file.
    const { pid } = spawnSync(process.execPath, ['--version']);
    writeFileSync(join(blobs, `${etag}.0badcafe.incomplete`), LARGE.subarray(0, 2_000_000));
    writeFileSync(join(locks, `${etag}.zk0.lock`), JSON.stringify({ machine: sha256(hostname()).slice(0, 12), pid, partial: `${etag}.0badcafe.incomplete` }));
    server.requests.length = 0;
    const directory = await fetchAll(server, cache);
    expect(server.requests.find(({ host: at }) => at === 'cdn')?.headers['range']).toBe('bytes=2000000-');
    expect(readFileSync(join(directory, 'deep/er/model.safetensors')).equals(LARGE)).toBe(true);
    expect(tree(cache).filter((path) => /incomplete|lock/.test(path))).toEqual([]);
  });
});
