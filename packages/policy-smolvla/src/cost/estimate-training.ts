import { elementCount } from '@zk0/core';
import type { SmolVlaModelConfig } from '../model/config.ts';
import { trainedWeightSpecs } from '../model/weights.ts';
import { measureProductRate } from './product-rate.ts';
import { workOf } from './work.ts';

/** A training to come, of all clients together where there are several on one machine. */
export interface PlannedTraining {
  /** Optimiser steps in all. */
  readonly steps: number;
  readonly batchSize: number;
  /** Frames whose frozen part is computed, once each. */
  readonly frames: number;
  readonly cameras: number;
}

/** Of the rate of a large product, what training steps from cached keys and values, and encoding frames, come to (README, "Full size"). */
const SHARE = { step: 0.41, frame: 0.84 };
/** Of AdamW with clipping, for a trained value and one thread: 0.285 s over 100 M weights on two. */
const OPTIMIZER_SECONDS = 5.7e-9;
/** Tokens of a usual instruction. */
const LANGUAGE_TOKENS = 18;

/** What any processor reaches, floating-point operations a second. */
const LEAST_RATE = 10e9;

/**
 * About how many seconds a training takes on this machine's processor, all of which it has to itself; null when it takes less than
 * `atLeast`. Half a second is spent on finding the rate of the machine's matrix products where it may take longer. The figure is right to
 * within a third or so; reading recordings and evaluations come on top.
 *
 * @param threads of the processor, over all that train side by side
 */
export async function estimateTraining(config: SmolVlaModelConfig, planned: PlannedTraining, threads: number, atLeast = 0): Promise<number | null> {
  if (secondsOfTraining(config, planned, LEAST_RATE, threads) < atLeast) return null;
  const seconds = secondsOfTraining(config, planned, await measureProductRate([400, 720, 2048], threads, 9), threads);
  return seconds < atLeast ? null : seconds;
}

/** The arithmetic of {@link estimateTraining}, at `rate` floating-point operations a second. */
export function secondsOfTraining(config: SmolVlaModelConfig, { steps, batchSize, frames, cameras }: PlannedTraining, rate: number, threads: number): number {
  const { vision, prefix, train } = workOf(config, cameras, LANGUAGE_TOKENS);
  const trained = trainedWeightSpecs(config).reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const optimizer = (OPTIMIZER_SECONDS * trained) / threads;
  // Where everything is trained nothing is cached, and all of it is differentiated.
  if (!config.trainExpertOnly) return steps * ((batchSize * (3 * (vision + prefix) + train)) / (SHARE.frame * rate) + optimizer);
  return steps * ((batchSize * train) / (SHARE.step * rate) + optimizer) + (frames * (vision + prefix)) / (SHARE.frame * rate);
}
