import type { FitInstructions, Parameters, RobotDataset } from '@zk0/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { normalizerOf, syntheticDataset } from '../../test/synthetic-dataset.ts';
import { openTinyPolicy, type TinyPolicy } from '../../test/tiny-policy.ts';
import type { SmolVlaPolicy } from '../policy.ts';

const instructions: FitInstructions = { round: 1, seed: 'recipe', localSteps: 1, batchSize: 4, learningRate: 1e-3, proximalMu: 0 };

let tiny: TinyPolicy;
let policy: SmolVlaPolicy;
let initial: Parameters;

beforeAll(async () => {
  tiny = await openTinyPolicy();
  ({ policy, initial } = tiny);
});
afterAll(() => tiny.close());

function distance(a: Parameters, b: Parameters): number {
  let sum = 0;
  for (const [name, { data }] of a) {
    const other = b.get(name)!.data;
    for (let i = 0; i < data.length; i++) sum += (data[i]! - other[i]!) ** 2;
  }
  return Math.sqrt(sum);
}

/** A dataset's frames `0 … count − 1`, of which those from `last` on are all frame `last`. */
function repeating(dataset: RobotDataset, count: number, last: number): RobotDataset {
  const at = (frame: number): number => Math.min(frame, last);
  return {
    info: { ...dataset.info, frameCount: count, contentHash: `${count}`.padStart(64, '0') },
    state: (frame) => dataset.state(at(frame)),
    actionChunk: (frame, length) => dataset.actionChunk(at(frame), length),
    task: (frame) => dataset.task(at(frame)),
    images: (frame, keys) => dataset.images(at(frame), keys),
    close: () => Promise.resolve(),
  };
}

describe('a round', () => {
  it('takes its first step at the peak learning rate and its last at a tenth of it', async () => {
    const dataset = syntheticDataset();
    const learner = policy.learner(dataset, { normalizer: normalizerOf(dataset), cache: 'off' });
    const one = await learner.fit(initial, instructions);
    const two = await learner.fit(initial, { ...instructions, localSteps: 2 });
    const three = await learner.fit(initial, { ...instructions, localSteps: 3 });
    await learner.close();
    // AdamW's first step is as long as the learning rate says, whatever the gradient: the first steps of all rounds are one.
    const first = distance(one.parameters, initial);
    const size = Math.sqrt([...initial.values()].reduce((sum, { data }) => sum + data.length, 0));
    expect(first / (1e-3 * size)).toBeGreaterThan(0.7);
    expect(first / (1e-3 * size)).toBeLessThan(1.05);
    expect(distance(two.parameters, one.parameters) / first).toBeLessThan(0.2);
    expect(distance(two.parameters, one.parameters) / first).toBeGreaterThan(0.04);
    // Of three steps the second is at 0.55, and the third at 0.1.
    expect(distance(three.parameters, one.parameters) / first).toBeGreaterThan(0.3);
    expect(distance(three.parameters, one.parameters) / first).toBeLessThan(0.85);
  });
});

describe('an evaluation', () => {
  it('counts no row that only fills up the last batch', async () => {
    const dataset = syntheticDataset();
    const normalizer = normalizerOf(dataset);
    const lossOf = async (count: number): Promise<{ loss: number; numExamples: number }> => {
      const learner = policy.learner(repeating(dataset, count, 2), { normalizer, cache: 'off' });
      try {
        return await learner.evaluate(initial, { seed: 'fill', batches: 0, batchSize: 8 });
      } finally {
        await learner.close();
      }
    };
    // Rows that fill up repeat the last frame: three frames and five such rows are the rows of eight frames, of which six are one.
    const [short, full] = [await lossOf(3), await lossOf(8)];
    expect([short.numExamples, full.numExamples]).toEqual([3, 8]);
    expect(Math.abs(short.loss / full.loss - 1)).toBeGreaterThan(1e-3);
    // What is counted of the eight rows: three of them, and what four frames have besides.
    const four = await lossOf(4);
    expect(new Set([short.loss, four.loss, full.loss]).size).toBe(3);
  });
});
