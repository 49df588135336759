import type { Random } from '@zk0/core';
import * as z from 'zod';

const positive = z.number().gt(0).max(1e12);
const range = z.tuple([positive, positive]).refine(([low, high]) => low <= high, { message: 'the first number is above the second' });

/** How a positive quantity is drawn: one key says the kind. */
export const distributionSchema = z.union([
  z.strictObject({ constant: positive }),
  z.strictObject({ uniform: range }),
  /** The logarithm is uniform: as many between 1 and 2 as between 5 and 10. */
  z.strictObject({ logUniform: range }),
  /** The logarithm is normal with standard deviation `sigma` around that of the median. */
  z.strictObject({ lognormal: z.strictObject({ median: positive, sigma: z.number().min(0).max(5) }) }),
]);
export type Distribution = z.infer<typeof distributionSchema>;

/** Draws one value. */
export function draw(distribution: Distribution, random: Random): number {
  if ('constant' in distribution) return distribution.constant;
  if ('lognormal' in distribution) return distribution.lognormal.median * Math.exp(distribution.lognormal.sigma * random.normal());
  if ('uniform' in distribution) {
    const [low, high] = distribution.uniform;
    return low + (high - low) * random.uniform();
  }
  const [low, high] = distribution.logUniform;
  return low * (high / low) ** random.uniform();
}

/** The value that half of the draws are below. */
export function medianOf(distribution: Distribution): number {
  if ('constant' in distribution) return distribution.constant;
  if ('lognormal' in distribution) return distribution.lognormal.median;
  if ('uniform' in distribution) return (distribution.uniform[0] + distribution.uniform[1]) / 2;
  return Math.sqrt(distribution.logUniform[0] * distribution.logUniform[1]);
}
