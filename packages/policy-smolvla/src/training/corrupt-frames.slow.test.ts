import { hashParameters, type FitInstructions, type Learner, type Parameters, Zk0Error } from '@zk0/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { normalizerOf, syntheticDataset } from '../../test/synthetic-dataset.ts';
import { openTinyPolicy, type TinyPolicy } from '../../test/tiny-policy.ts';
import type { LearnerOptions, SmolVlaPolicy } from '../policy.ts';
import { BatchPlan } from './batch-plan.ts';
import { planBatches, planEvaluation } from './sampling.ts';
import { UnreadableFrames } from './unreadable-frames.ts';

const instructions: FitInstructions = { round: 1, seed: 'fit', localSteps: 4, batchSize: 4, learningRate: 5e-3, proximalMu: 0.01 };
/** Every frame of the dataset of 8 is asked for in a round of 16. */
const dataset = { episodes: 2, framesPerEpisode: 4 };
const corrupt = [1, 6];

let tiny: TinyPolicy;
let policy: SmolVlaPolicy;
let initial: Parameters;

beforeAll(async () => {
  tiny = await openTinyPolicy();
  ({ policy, initial } = tiny);
});
afterAll(() => tiny.close());

function learnerOf(frames: readonly number[], options: Partial<LearnerOptions>): Learner {
  const recorded = syntheticDataset({ ...dataset, corrupt: frames });
  return policy.learner(recorded, { normalizer: normalizerOf(recorded), ...options });
}

describe('frames that cannot be decoded', () => {
  it.each(['off', 'vision', 'prefix'] as const)('are skipped, counted and reported once (cache: %s)', async (cache) => {
    const told: string[] = [];
    const learner = learnerOf(corrupt, { cache, corruptFrames: 2, onCorruptFrame: (frame, { message }) => told.push(`${frame}: ${message}`) });
    const first = await learner.fit(initial, instructions);
    expect(told.sort()).toEqual(corrupt.map((frame) => `${frame}: video.mp4: frame ${frame} is damaged`));
    expect(first.metrics).toMatchObject({ num_corrupt_frames: 2, num_steps: 4 });
    // Known from the outset, they change nothing.
    const again = await learner.fit(initial, instructions);
    expect(hashParameters(again.parameters)).toBe(hashParameters(first.parameters));
    expect(again.metrics['num_corrupt_frames']).toBe(2);
    expect(told).toHaveLength(2);
    const evaluated = await learner.evaluate(initial, { seed: 'all', batches: 0, batchSize: 4 });
    expect(evaluated).toMatchObject({ numExamples: 6, metrics: { num_corrupt_frames: 2, num_steps: 2 } });
    await learner.close();
  });

  it('end training beyond what is allowed, 1 % and at least one by default', async () => {
    for (const cache of ['off', 'prefix'] as const) {
      const learner = learnerOf(corrupt, { cache });
      await expect(learner.fit(initial, instructions)).rejects.toMatchObject({
        code: 'CORRUPT_FRAMES',
        message: expect.stringMatching(/^2 frames of dataset synthetic cannot be decoded, 1 may be; the last: video\.mp4: frame [16]/) as string,
      });
      await learner.close();
    }
    const one = learnerOf([1], { cache: 'off' });
    expect((await one.fit(initial, instructions)).metrics['num_corrupt_frames']).toBe(1);
    await one.close();
  });

  it('that end an evaluation end it, wherever they are found', async () => {
    const learner = learnerOf([7], { cache: 'off' });
    expect((await learner.evaluate(initial, { seed: 'all', batches: 0, batchSize: 7 })).numExamples).toBe(7);
    await learner.close();
  });
});

describe('BatchPlan', () => {
  it('gives the same batches whenever unreadable frames are found', () => {
    const draws = [
      (isReadable: (frame: number) => boolean) => planBatches(40, 12, 5, 'seed', isReadable),
      (isReadable: (frame: number) => boolean) => planEvaluation(40, 6, 5, 'seed', isReadable),
    ];
    for (const draw of draws) {
      const damaged = new Set([3, 17, 30]);
      const unreadable = new UnreadableFrames({ name: 'd', frameCount: 40 }, 3, undefined);
      const plan = new BatchPlan(unreadable, draw);
      const taken: number[][] = [];
      while (taken.length < plan.current.batches.length) {
        const batch = plan.current.batches[taken.length]!;
        const found = batch.filter((frame) => damaged.has(frame));
        for (const frame of found) unreadable.note(frame, new Zk0Error('DATASET_FRAME', 'damaged'));
        if (found.length === 0) taken.push([...batch]);
      }
      expect(taken).toEqual(draw((frame) => !damaged.has(frame)).batches);
    }
  });
});
