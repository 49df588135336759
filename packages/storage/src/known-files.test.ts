import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { KnownFiles } from './known-files.ts';

let directory = '';
let path = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zk0-known-'));
  path = join(directory, 'file');
  writeFileSync(path, 'four');
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true, force: true });
});

it('knows a file until it is written to, replaced, or gone', async () => {
  const files = new KnownFiles();
  expect(await files.isUnchanged(path, 4)).toBe(false);
  await files.add(path);
  expect(await files.isUnchanged(path, 4)).toBe(true);
  expect(await files.isUnchanged(path, 5)).toBe(false);

  // The system's clock for files may tick as slowly as every 4 ms.
  await sleep(10);
  writeFileSync(path, 'five');
  expect(await files.isUnchanged(path, 4)).toBe(false);

  await files.add(path);
  writeFileSync(`${path}.new`, 'five');
  renameSync(`${path}.new`, path);
  expect(await files.isUnchanged(path, 4)).toBe(false);

  await files.add(path);
  rmSync(path);
  expect(await files.isUnchanged(path, 4)).toBe(false);
});

it('does not know a file that was written to while it was hashed', async () => {
  const files = new KnownFiles();
  expect(await files.hashed(path, () => Promise.resolve('a hash'))).toBe('a hash');
  expect(await files.isUnchanged(path, 4)).toBe(true);
  await files.hashed(path, async () => {
    await sleep(10);
    writeFileSync(path, 'five');
  });
  expect(await files.isUnchanged(path, 4)).toBe(false);
});

it('forgets after a minute, when bytes may come from the disk again', async () => {
  const files = new KnownFiles();
  await files.add(path);
  const now = performance.now();
  vi.spyOn(performance, 'now').mockReturnValue(now + 61_000);
  expect(await files.isUnchanged(path, 4)).toBe(false);
});
