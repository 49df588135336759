import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPolicy, type SmolVlaPolicy } from '@zk0/policy-smolvla';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainingCost } from './training-cost.ts';

describe('what a training takes', () => {
  let home: string;
  let policy: SmolVlaPolicy;
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'zk0-cost-'));
    policy = await openPolicy('tiny', { device: 'cpu', threads: 1, cacheDirectory: home });
  });
  afterAll(async () => {
    await policy.close();
    await rm(home, { recursive: true });
  });
  const planned = { steps: 100_000_000, batchSize: 8, frames: 1000, cameras: 2 };

  it('is said where it is long, with what it amounts to', async () => {
    expect(await trainingCost(policy, planned, 1)).toMatch(/^about \d.* of training on this processor: 100000000 steps of 8 samples, 62500 % of what SmolVLA's recipe/);
  });

  it('is not said where it is short, or of a GPU, which it is not known of', async () => {
    expect(await trainingCost(policy, { ...planned, steps: 10 }, 1)).toBeNull();
    expect(await trainingCost({ device: 'cuda', config: policy.config }, planned, 1)).toBeNull();
  });
});
