import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { presetDirectory } from '../src/preset/generate.ts';
import { TINY } from '../src/preset/tiny.ts';

/** A folder for one test file, and the tiny policy's checkpoint in it. */
export async function tinyWorkspace(): Promise<{
  readonly root: string;
  readonly checkpoint: string;
  readonly remove: () => Promise<void>;
}> {
  const root = await mkdtemp(join(tmpdir(), 'zk0-policy-'));
  return {
    root,
    checkpoint: await presetDirectory(TINY, root),
    remove: () => rm(root, { recursive: true, force: true }),
  };
}
