import { mkdtempSync, readdirSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeActivity, openActivityFile, readActivity } from './activity.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zk0-activity-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

it('leaves the newest state in the folder, and replaces the file a few times only, however fast a round goes', async () => {
  let replaced = 0;
  const watcher = watch(directory, (_event, name) => {
    if (name === 'activity.json') replaced++;
  });
  const file = openActivityFile(directory, 'http://127.0.0.1:1', 'lift');
  for (let round = 1; round <= 20; round++) {
    file.status({ state: 'downloading', round, bytes: 1000, totalBytes: 1000 });
    for (let step = 1; step <= 10; step++) file.status({ state: 'training', round, phase: 'training', step, totalSteps: 10, loss: 1 / step });
    file.status({ state: 'uploading', round, bytes: 500, totalBytes: 500 });
    await sleep(1);
  }
  file.connected(true);
  file.status({ state: 'idle' });
  await expect.poll(() => readActivity(directory)).toMatchObject({ state: 'waiting for work', isConnected: true, rounds: 20, bytes: { up: 10_000, down: 20_000 } });
  await file.close();
  watcher.close();
  expect(replaced).toBeLessThan(10);
  expect(describeActivity(readActivity(directory)!)).toBe('waiting for work');
});

it('leaves nothing half-written, and writes no more once it is closed', async () => {
  const file = openActivityFile(directory, 'http://127.0.0.1:1', 'lift');
  await expect.poll(() => readActivity(directory)?.state).toBe('connecting');
  file.status({ state: 'idle' });
  await file.close();
  await sleep(600);
  expect(readActivity(directory)?.state).toBe('connecting');
  expect(readdirSync(directory)).toEqual(['activity.json']);
});

it('goes on where the folder cannot be written to', async () => {
  const file = openActivityFile(join(directory, 'gone'), 'http://127.0.0.1:1', 'lift');
  await sleep(20);
  file.status({ state: 'idle' });
  await file.close();
  expect(readActivity(join(directory, 'gone'))).toBeUndefined();
});
