import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@zk0/cli';
import { afterAll, describe, expect, it } from 'vitest';
import { simulationSchemaOn } from './settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'zk0-settings-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe('how many clients of a simulation train at the same time', () => {
  const file = join(folder, 'zk0.yaml');
  writeFileSync(file, 'maxParallel: 2\n');

  it.each([
    ['all on the CPU', 'cpu', {}, 0],
    ['one on a GPU', 'cuda', {}, 1],
    ['as many as the file says, on any device', 'cuda', { file }, 2],
    ['as many as a flag says', 'cpu', { file, flags: { maxParallel: 3 } }, 3],
    ['a flag that was not given says nothing', 'cpu', { file, flags: { maxParallel: undefined } }, 2],
  ])('%s', async (_, device, sources, expected) => {
    expect((await loadConfig(simulationSchemaOn(device), sources)).maxParallel).toBe(expected);
  });
});
