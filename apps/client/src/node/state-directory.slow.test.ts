import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { openStateDirectory } from './state-directory.ts';

const root = mkdtempSync(join(tmpdir(), 'zk0-state-'));
afterAll(() => {
  chmodSync(root, 0o700);
  rmSync(root, { recursive: true, force: true });
});

it('names an installation once, and is held by one process at a time, however that one ends', async () => {
  const directory = join(root, 'a');
  const first = await openStateDirectory(directory);
  await expect(openStateDirectory(directory)).rejects.toMatchObject({ code: 'CLIENT_RUNNING' });
  first.close();
  // Another process takes it and is killed.
  const script = `const { DatabaseSync } = require('node:sqlite');
    new DatabaseSync(${JSON.stringify(join(directory, 'lock.sqlite'))}).exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
    process.kill(process.pid, 'SIGKILL');`;
  expect(spawnSync(process.execPath, ['-e', script]).signal).toBe('SIGKILL');
  const again = await openStateDirectory(directory);
  expect(again.instance).toBe(first.instance);
  again.close();
  const other = await openStateDirectory(join(root, 'b'));
  expect(other.instance).not.toBe(first.instance);
  other.close();
});

it('that cannot be used is one clear error', async () => {
  writeFileSync(join(root, 'file'), '');
  await expect(openStateDirectory(join(root, 'file', 'state'))).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
});
