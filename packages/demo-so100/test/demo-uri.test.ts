import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { listEpisodes, openDataset, useDemoMaker, validateDataset } from '@zk0/dataset-so100';
import { demoMaker, demoTasks } from '../src/index.ts';

let cacheDirectory: string;
const task = demoTasks[0]!;

beforeAll(async () => {
  useDemoMaker(demoMaker);
  cacheDirectory = await mkdtemp(path.join(tmpdir(), 'zk0-demo-uri-'));
});
afterAll(async () => {
  await rm(cacheDirectory, { recursive: true, force: true });
});

it('makes a demo dataset once and opens it like any other', async () => {
  const uri = `demo:${task.name}?episodes=2&seed=3&fps=5`;
  const seen: number[] = [];
  const [first, second] = await Promise.all([
    openDataset(uri, { cacheDirectory, onProgress: ({ done }) => seen.push(done) }),
    openDataset(uri, { cacheDirectory }),
  ]);
  expect(seen).toEqual([1, 2]);
  expect(second.info.contentHash).toBe(first.info.contentHash);
  expect(first.info).toMatchObject({ name: `demo-${task.name}`, uri, tasks: [task.text] });
  expect(first.version).toBe('v3.0');
  expect(first.info.episodes).toHaveLength(2);
  const keys = first.info.cameras.map((camera) => camera.key);
  const images = await first.images(first.info.frameCount - 1, keys);
  expect(images.map(({ height, width }) => [height, width])).toEqual(first.info.cameras.map(({ height, width }) => [height, width]));
  await Promise.all([first.close(), second.close()]);
  expect(await readdir(path.join(cacheDirectory, 'demo'))).toHaveLength(1);

  const again = await openDataset(`${uri}&select=1`, {
    cacheDirectory,
    onProgress: () => {
      throw new Error('made a second time');
    },
  });
  expect(again.info.episodes.map((episode) => episode.episodeIndex)).toEqual([1]);
  await again.close();
  expect(await listEpisodes(uri, { cacheDirectory })).toHaveLength(2);
});

it('validates without errors', async () => {
  const report = await validateDataset(`demo:${task.name}?episodes=2&seed=3&fps=5`, { cacheDirectory, samples: Infinity });
  expect(report.findings.filter(({ severity }) => severity !== 'info')).toEqual([]);
  expect(report.checked.imagesDecoded).toBe(report.checked.frames * 2);
});

it('names the tasks there are', async () => {
  await expect(openDataset('demo:nothing', { cacheDirectory })).rejects.toMatchObject({
    hint: expect.stringContaining(task.name) as string,
  });
});

it('records what an address asks for, and refuses what it does not know', async () => {
  const dataset = await openDataset(`demo:${task.name}?episodes=1&place=left&fps=5&width=64&height=48`, { cacheDirectory });
  expect(dataset.info.fps).toBe(5);
  expect(dataset.info.cameras[0]).toMatchObject({ width: 64, height: 48 });
  await dataset.close();
  await expect(openDataset(`demo:${task.name}?colour=red`, { cacheDirectory })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await expect(openDataset(`demo:${task.name}?place=moon`, { cacheDirectory })).rejects.toMatchObject({ code: 'DEMO_TASK_UNKNOWN' });
});
