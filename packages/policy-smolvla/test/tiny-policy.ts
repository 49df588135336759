import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Parameters } from '@zk0/core';
import { openPolicy } from '../src/open-policy.ts';
import type { SmolVlaPolicy } from '../src/policy.ts';
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

/** The features of the arms in `syntheticDataset`. */
export const TINY_FEATURES = { stateSize: 6, actionSize: 6, cameras: ['observation.images.top', 'observation.images.wrist'] } as const;

/** The tiny policy, opened for one thread of the processor, in a folder of its own. */
export interface TinyPolicy {
  readonly workspace: Awaited<ReturnType<typeof tinyWorkspace>>;
  readonly policy: SmolVlaPolicy;
  readonly initial: Parameters;
  close(): Promise<void>;
}

export async function openTinyPolicy(): Promise<TinyPolicy> {
  const workspace = await tinyWorkspace();
  const policy = await openPolicy(workspace.checkpoint, { device: 'cpu', threads: 1, features: TINY_FEATURES, cacheDirectory: workspace.root });
  return {
    workspace,
    policy,
    initial: await policy.initialParameters(),
    close: async () => {
      await policy.close();
      await workspace.remove();
    },
  };
}
