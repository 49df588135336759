import type { LearnerOptions } from '@zk0/policy-smolvla';

/**
 * What training keeps on disk, in a sentence.
 *
 * @param recorded frames of the recordings; more of them are trained on where their images are varied
 */
export function describeCache({ tier, bytes, frames }: Parameters<NonNullable<LearnerOptions['onCache']>>[0], recorded: number): string {
  const what = frames === recorded ? `${frames} frames` : `${frames} images of each camera (${recorded} frames and ${frames / recorded - 1} variants of each)`;
  if (tier === 'off') return `cache off: the frozen part of ${what} is computed whenever it is needed`;
  return `cache ${tier}: ${what}, ${(bytes / 1e9).toFixed(2)} GB when all are there; each is computed once`;
}
