import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startTestHub } from '../src/testing.ts';
import { client, noise, scratch, testHub } from './scratch.ts';

const REPOSITORY = { type: 'model', name: 'owner/name' } as const;
const FILES = { 'config.json': Buffer.from('{}'), 'model.safetensors': noise(1000) };

describe('offline', () => {
  it('uses what the cache has and asks the hub for nothing', async () => {
    const [server, cache] = [await testHub(), scratch()];
    const commit = server.serve({ ...REPOSITORY, files: FILES });
    await (await (await client(server, cache)).snapshot(REPOSITORY)).fetchPaths(['config.json']);
    server.requests.length = 0;
    const hub = await client(server, cache, { environment: { HF_HUB_OFFLINE: '1' } });
    const snapshot = await hub.snapshot(REPOSITORY);
    expect(snapshot).toMatchObject({ commit, offline: { code: 'HUB_OFFLINE' } });
    expect(await snapshot.fetchFolder('', () => true)).toEqual(['config.json']);
    expect(await snapshot.fetchPaths(['config.json'])).toEqual([]);
    const lacking = snapshot.fetchPaths(['model.safetensors']);
    await expect(lacking).rejects.toMatchObject({ code: 'HUB_OFFLINE', message: expect.stringContaining('model.safetensors') as string });
    await expect(hub.snapshot({ type: 'dataset', name: 'a/b' })).rejects.toMatchObject({ code: 'HUB_OFFLINE', hint: expect.stringContaining('HF_HUB_OFFLINE') as string });
    expect(await hub.check()).toContain('HF_HUB_OFFLINE');
    expect(server.requests).toEqual([]);
  });

  it('is where a hub that cannot be reached leaves those who have a copy', async () => {
    const [server, cache] = [await startTestHub(), scratch()];
    const commit = server.serve({ ...REPOSITORY, files: FILES });
    const hub = await client(server, cache);
    await (await hub.snapshot(REPOSITORY)).fetchFolder('', () => true);
    server.fault = () => ({ status: 503 });
    expect(await hub.snapshot(REPOSITORY)).toMatchObject({ commit, offline: { code: 'HUB_UNAVAILABLE' } });
    await server.close();
    for (const revision of ['main', commit]) {
      const snapshot = await hub.snapshot(REPOSITORY, revision);
      expect(await snapshot.fetchFolder('', () => true)).toEqual(['config.json', 'model.safetensors']);
      expect(snapshot.offline).toMatchObject({ code: 'HUB_UNREACHABLE' });
    }
    expect(await hub.check()).toMatchObject({ attention: expect.stringContaining('not reachable') as string, hint: expect.stringContaining(cache) as string });
    await expect(hub.snapshot(REPOSITORY, 'v2')).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' });
    rmSync(join(cache, 'models--owner--name/snapshots'), { recursive: true });
    await expect((await hub.snapshot(REPOSITORY)).fetchFolder('', () => true)).rejects.toMatchObject({ code: 'HUB_OFFLINE' });
  });
});
