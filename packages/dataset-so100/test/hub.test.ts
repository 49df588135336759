import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readTree, startTestHub, type TestHub } from '@zk0/hub/testing';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createDatasetWriter, inspectDataset, listEpisodes, openDataset, validateDataset, type EpisodeFrame, type OpenOptions } from '../src/index.ts';
import { put, writeFixture } from './fixtures.ts';

/** A dataset with real videos. */
let demo: string;

const JOINTS = ['a', 'b', 'c'];
const CAMERAS = ['observation.images.top', 'observation.images.wrist'].map((key) => ({ key, width: 64, height: 48 }));

/** Frames in which everything moves. */
function* movingFrames(): Generator<EpisodeFrame> {
  for (let frame = 0; frame < 40; frame++) {
    const data = Uint8Array.from({ length: 64 * 48 * 3 }, (_, i) => (i + 5 * frame) % 256);
    const vector = JOINTS.map((_, joint) => Math.sin(frame / 5 + joint));
    yield { state: vector, action: vector, images: Object.fromEntries(CAMERAS.map(({ key, width, height }) => [key, { width, height, data }])) };
  }
}

beforeAll(async () => {
  demo = path.join(mkdtempSync(path.join(tmpdir(), 'zk0-dataset-hub-')), 'set');
  const writer = await createDatasetWriter(demo, { fps: 10, robotType: 'arm', stateNames: JOINTS, actionNames: JOINTS, cameras: CAMERAS });
  await writer.addEpisode({ task: 'Move.', frames: movingFrames() });
  await writer.finish();
});
afterAll(() => {
  rmSync(path.dirname(demo), { recursive: true });
});

function scratch(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'zk0-dataset-hub-'));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** A hub that serves a folder as owner/set, and options for a cache of its own. */
async function serve(folder: string): Promise<{ server: TestHub; commit: string; options: OpenOptions; cache: string }> {
  const server = await startTestHub();
  onTestFinished(() => server.close());
  const commit = server.serve({ type: 'dataset', name: 'owner/set', files: readTree(folder) });
  const cache = scratch();
  return { server, commit, cache, options: { hub: { endpoint: server.endpoint, cacheDirectory: cache, retryInitialMs: 1, environment: {} } } };
}

/** Files whose content was asked for, by their paths. */
function fetched({ requests }: TestHub): string[] {
  return requests.map(({ url }) => /\/resolve\/[0-9a-f]{40}\/(.+)$/.exec(url)?.[1]).filter((file) => file !== undefined).sort();
}

describe('hf:', () => {
  it('is the same dataset as the folder, with the commit it was read at', async () => {
    const { commit, options } = await serve(demo);
    const seen: number[] = [];
    const [local, hub] = [
      await openDataset(demo),
      await openDataset('hf:owner/set', { ...options, onProgress: ({ phase, done, total }) => phase === 'downloading' && seen.push(done / total) }),
    ];
    expect(hub.info).toMatchObject({ name: 'owner/set', uri: 'hf:owner/set', commit, contentHash: local.info.contentHash });
    expect(local.info).not.toHaveProperty('commit');
    const keys = hub.info.cameras.map(({ key }) => key);
    const last = hub.info.frameCount - 1;
    expect(await hub.images(last, keys)).toEqual(await local.images(last, keys));
    expect(seen.at(-1)).toBe(1);
    await Promise.all([local.close(), hub.close()]);
    expect((await validateDataset('hf:owner/set', options)).ok).toBe(true);
    expect(await inspectDataset('hf:owner/set', options)).toMatchObject({ episodes: 1, problems: [] });
  });

  it.each(['v2.1', 'v3.0'] as const)('fetches only what the chosen episodes of %s need', async (version) => {
    const folder = path.join(scratch(), 'set');
    await writeFixture(folder, { version, lengths: [3, 4, 5] });
    const { server, options } = await serve(folder);
    const all = Object.keys(readTree(folder));
    expect(await listEpisodes('hf:owner/set', options)).toHaveLength(3);
    expect(fetched(server).every((file) => file.startsWith('meta/'))).toBe(true);
    const dataset = await openDataset('hf:owner/set?episodes=1', options);
    expect(dataset.info.frameCount).toBe(4);
    await dataset.close();
    const files = fetched(server).filter((file) => !file.startsWith('meta/'));
    const needed = all.filter((file) => !file.startsWith('meta/') && /episode_000001|file-000/.test(file));
    expect(files).toEqual(needed.sort());
  });

  it('fetches pictures that lie beside the rows', async () => {
    const folder = path.join(scratch(), 'set');
    const top = 'observation.images.top';
    const cells = Array.from({ length: 3 }, () => ({ bytes: null, path: null }));
    await writeFixture(folder, { version: 'v2.1', lengths: [1, 2], cameras: [], pictures: { [top]: cells } });
    const files = [0, 1, 1].map((episode, i) => `images/${top}/episode_00000${episode}/frame_00000${i === 2 ? 1 : 0}.png`);
    for (const file of files) await put(folder, file, file);
    const { server, options } = await serve(folder);
    const dataset = await openDataset('hf:owner/set?episodes=1', options);
    await dataset.close();
    expect(fetched(server).filter((file) => file.startsWith('images/'))).toEqual(files.slice(1));
    await (await openDataset('hf:owner/set?episodes=1', { hub: { ...options.hub, offline: true } })).close();
  });

  it('is read from the cache offline, or says what is missing', async () => {
    const folder = path.join(scratch(), 'set');
    await writeFixture(folder, { version: 'v2.1', lengths: [3, 4] });
    const { server, options } = await serve(folder);
    await (await openDataset('hf:owner/set?episodes=0', options)).close();
    server.requests.length = 0;
    const offline = { hub: { ...options.hub, offline: true } };
    await (await openDataset('hf:owner/set?episodes=0', offline)).close();
    await expect(openDataset('hf:owner/set', offline)).rejects.toMatchObject({ code: 'HUB_OFFLINE', message: expect.stringContaining('episode_000001') as string });
    expect(server.requests).toEqual([]);
    server.fault = () => ({ status: 503 });
    const dataset = await openDataset('hf:owner/set?episodes=0', options);
    expect(dataset.warnings).toEqual([expect.stringContaining('from the cache')]);
    await dataset.close();
  });

  it('survives cut lines, 429 and 5xx, and leaves no half file under a final name', async () => {
    const { server, options, cache } = await serve(demo);
    const count = new Map<string, number>();
    server.fault = ({ url, host }) => {
      const nth = (count.get(url) ?? 0) + 1;
      count.set(url, nth);
      if (host === 'cdn') return nth < 4 ? { cutAfter: 5000 } : undefined;
      return nth === 1 ? { status: 429, headers: { 'retry-after': '0' } } : nth === 2 ? { status: 502 } : undefined;
    };
    const dataset = await openDataset('hf:owner/set', options);
    expect((await validateDataset('hf:owner/set', options)).ok).toBe(true);
    await dataset.close();
    expect(server.requests.some(({ host, headers }) => host === 'cdn' && headers['range'] !== undefined)).toBe(true);
    expect(readdirSync(cache, { recursive: true }).map(String).filter((name) => /incomplete|\.tmp|\.lock$/.test(name))).toEqual([]);
  });

  it('is refused where the dataset leads out of its folder', async () => {
    const folder = path.join(scratch(), 'set');
    await writeFixture(folder, { version: 'v2.1', lengths: [3] });
    const { server, options } = await serve(folder);
    const files = readTree(folder);
    const info = JSON.parse(Buffer.from(files['meta/info.json']!).toString()) as Record<string, unknown>;
    const bad = { ...files, 'meta/info.json': Buffer.from(JSON.stringify({ ...info, data_path: '../../../../refs/main' })) };
    server.serve({ type: 'dataset', name: 'owner/set', files: bad });
    await expect(openDataset('hf:owner/set', options)).rejects.toMatchObject({ code: 'DATASET_PATH' });
  });
});
