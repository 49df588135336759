import { deriveSeed, Random } from '@zk0/core';
import * as z from 'zod';
import { distributionSchema, draw, medianOf } from './distributions.ts';

/** The virtual clients of a simulation: what they have, how fast they are, how they fail. */
export const fleetSchema = z.strictObject({
  /** The problem whose loss is known; see `QuadraticProblem`. */
  problem: z
    .strictObject({
      /** Numbers in the model. */
      dimensions: z.int().min(1).max(100_000).default(100),
      /** The steepest direction is so many times as steep as the flattest. */
      condition: z.number().min(1).max(1e6).default(10),
      /** How far the optima of the clients lie from their centre, by the distance of the initial model from it; in each direction. */
      heterogeneity: z.number().min(0).max(100).default(0.5),
      /** Standard deviation of the noise in each direction of a gradient. */
      noise: z.number().min(0).max(100).default(0.1),
    })
    .prefault({}),
  /** Optimiser steps that a client makes in a second. */
  stepsPerSecond: distributionSchema.default({ logUniform: [0.2, 2] }),
  /** Standard deviation of the logarithm of a task's training time around what the client's speed says. */
  jitter: z.number().min(0).max(3).default(0.1),
  /** Megabits in a second, to the client and from it. */
  downMbit: distributionSchema.default({ lognormal: { median: 100, sigma: 0.8 } }),
  upMbit: distributionSchema.default({ lognormal: { median: 20, sigma: 0.8 } }),
  /** Megabytes that a task brings to a client and that its update brings back; those of the full policy in float32 unless given. */
  megabytesDown: z.number().min(0).max(1e6).default(393),
  megabytesUp: z.number().min(0).max(1e6).default(393),
  /** Probability that a client vanishes without a word during a task. */
  dropout: z.number().min(0).max(1).default(0.02),
  /** Seconds after which a client that has vanished is back. */
  awaySeconds: distributionSchema.default({ logUniform: [60, 3600] }),
  /** Examples of a client: its weight in means, and in the loss. */
  examples: distributionSchema.default({ constant: 100 }),
});
export type Fleet = z.output<typeof fleetSchema>;

/** What is fixed of one virtual client for the whole run. */
export interface ClientTraits {
  readonly clientId: string;
  readonly stepsPerSecond: number;
  /** Bytes in a second. */
  readonly downRate: number;
  readonly upRate: number;
  readonly examples: number;
}

const BYTES_PER_MEGABIT = 125_000;

/** Draws the clients of a fleet. The first so many are the same in a larger fleet of the same seed. */
export function drawClients(fleet: Fleet, count: number, seed: number): ClientTraits[] {
  const digits = String(count - 1).length;
  return Array.from({ length: count }, (_, index) => {
    // One stream for each quantity: another distribution of one leaves the others as they are.
    const random = (what: string): Random => new Random(deriveSeed(seed, 'virtual client', index, what));
    return {
      clientId: `v${String(index).padStart(digits, '0')}`,
      stepsPerSecond: draw(fleet.stepsPerSecond, random('speed')),
      downRate: draw(fleet.downMbit, random('down')) * BYTES_PER_MEGABIT,
      upRate: draw(fleet.upMbit, random('up')) * BYTES_PER_MEGABIT,
      examples: Math.max(1, Math.round(draw(fleet.examples, random('examples')))),
    };
  });
}

/** Seconds that a task of so many steps takes a client in the middle. */
export function medianTaskSeconds(fleet: Fleet, localSteps: number): number {
  const transfer = fleet.megabytesDown / medianOf(fleet.downMbit) + fleet.megabytesUp / medianOf(fleet.upMbit);
  return 8 * transfer + localSteps / medianOf(fleet.stepsPerSecond);
}
