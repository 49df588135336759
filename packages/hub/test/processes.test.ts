import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { TestHub } from '../src/testing.ts';
import { noise, scratch, testHub } from './scratch.ts';

const LARGE = noise(4_000_000);

function start(server: TestHub, cache: string): ChildProcess {
  return spawn(process.execPath, ['--conditions=@zk0/source', join(import.meta.dirname, 'fetch-all.ts')], {
    env: { ...process.env, HF_ENDPOINT: server.endpoint, HF_HUB_CACHE: cache, HF_HOME: cache },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

function serve(server: TestHub, others: Readonly<Record<string, Buffer>> = {}): string {
  return server.serve({ type: 'model', name: 'owner/name', files: { 'model.safetensors': LARGE, ...others } });
}

function check(cache: string, commit: string, files: number): void {
  const root = join(cache, 'models--owner--name');
  expect(readFileSync(join(root, 'snapshots', commit, 'model.safetensors')).equals(LARGE)).toBe(true);
  expect(readdirSync(join(root, 'blobs'))).toHaveLength(files);
  expect(readdirSync(join(cache, '.locks/models--owner--name'))).toEqual([]);
}

it('lets two processes want the same files at once: one downloads, both have them', async () => {
  const [server, cache] = [await testHub(), scratch()];
  const commit = serve(server, { 'config.json': Buffer.from('{}') });
  // Slow enough for the second to come while the first is at it.
  let cuts = 3;
  server.fault = ({ host }) => (host === 'cdn' && cuts-- > 0 ? { cutAfter: 1_000_000 } : undefined);
  const exits = [start(server, cache), start(server, cache)].map(async (child) => {
    child.stdout?.resume();
    return (await once(child, 'exit')) as [number | null];
  });
  expect((await Promise.all(exits)).map(([code]) => code)).toEqual([0, 0]);
  expect(server.requests.filter(({ host, headers }) => host === 'cdn' && headers['range'] === undefined)).toHaveLength(1);
  check(cache, commit, 2);
});

it('goes on where a process was killed', async () => {
  const [server, cache] = [await testHub(), scratch()];
  // One file: of a second, the kill may come between its final name and the release of its lock, which then stays.
  const commit = serve(server);
  server.fault = ({ host }) => (host === 'cdn' ? { stallAfter: 3_000_000 } : undefined);
  const killed = start(server, cache);
  for await (const line of killed.stdout!) if (Math.max(...String(line).trim().split('\n').map(Number)) > 2_000_000) break;
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  server.fault = () => undefined;
  server.requests.length = 0;
  const next = start(server, cache);
  next.stdout?.resume();
  expect((await once(next, 'exit'))[0]).toBe(0);
  const ranges = server.requests.filter(({ host }) => host === 'cdn').map(({ headers }) => Number(/^bytes=(\d+)-$/.exec(headers['range'] ?? '')?.[1]));
  expect(ranges).toHaveLength(1);
  expect(ranges[0]).toBeGreaterThan(2_000_000);
  check(cache, commit, 1);
});
