import { deriveSeed, Random } from '@zk0/core';
import type { Batches } from './batch-plan.ts';

/**
 * Frames of every step of a round: seeded shuffles of the whole dataset, one after the other.
 *
 * @param isReadable of some frame at least
 */
export function planBatches(
  frameCount: number,
  steps: number,
  batchSize: number,
  seed: string,
  isReadable: (frame: number) => boolean,
): Batches {
  const batches: number[][] = [];
  const skipped = new Set<number>();
  let queue: number[] = [];
  let epoch = 0;
  for (let step = 0; step < steps; step++) {
    const batch: number[] = [];
    while (batch.length < batchSize) {
      if (queue.length === 0) {
        const frames = Array.from({ length: frameCount }, (_, frame) => frame);
        queue = new Random(deriveSeed(seed, 'shuffle', epoch++)).shuffled(frames).reverse();
      }
      const frame = queue.pop()!;
      if (isReadable(frame)) batch.push(frame);
      else skipped.add(frame);
    }
    batches.push(batch);
  }
  return { batches, skipped };
}

/** Frames of an evaluation: `batches` seeded batches without repetition, or all frames in order for 0. */
export function planEvaluation(
  frameCount: number,
  batches: number,
  batchSize: number,
  seed: string,
  isReadable: (frame: number) => boolean,
): Batches {
  const all = Array.from({ length: frameCount }, (_, frame) => frame);
  const order = batches === 0 ? all : new Random(deriveSeed(seed, 'evaluate')).shuffled(all);
  const most = batches === 0 ? frameCount : batches * batchSize;
  const wanted: number[] = [];
  const skipped = new Set<number>();
  for (const frame of order) {
    if (wanted.length === most) break;
    if (isReadable(frame)) wanted.push(frame);
    else skipped.add(frame);
  }
  const count = Math.ceil(wanted.length / batchSize);
  return { batches: Array.from({ length: count }, (_, batch) => wanted.slice(batch * batchSize, (batch + 1) * batchSize)), skipped };
}

/** Noise and times of one batch, as flow matching draws them. */
export interface FlowNoise {
  /** Standard normal, `batch × chunk × maxActionDim`. */
  readonly noise: Float32Array;
  /** `Beta(1.5, 1)·0.999 + 0.001`, one a sample. */
  readonly time: Float32Array;
}

/** Draws a batch's noise and times (LeRobot's `sample_noise` and `sample_time`) from a seed. */
export function drawFlowNoise(seed: string, batch: number, valuesPerSample: number): FlowNoise {
  const random = new Random(seed);
  const time = Float32Array.from({ length: batch }, () => random.beta(1.5, 1) * 0.999 + 0.001);
  return { time, noise: random.fillNormal(new Float32Array(batch * valuesPerSample)) };
}

/** The share of the peak learning rate at a step: cosine from 1 to `floor` at the last step of the round. */
export function cosineScale(step: number, totalSteps: number, floor = 0.1): number {
  if (totalSteps <= 1) return 1;
  const progress = step / (totalSteps - 1);
  return floor + ((1 - floor) * (1 + Math.cos(Math.PI * progress))) / 2;
}
