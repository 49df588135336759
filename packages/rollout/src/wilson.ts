import { InvalidArgumentError } from '@zk0/core';

/** A share of trials and where the true share lies with 95 % confidence, all from 0 to 1. */
export interface SuccessRate {
  readonly successes: number;
  readonly trials: number;
  /** 0 where there were no trials. */
  readonly rate: number;
  readonly low: number;
  readonly high: number;
}

/** The 97.5 % quantile of the normal distribution. */
const Z = 1.959963984540054;

/**
 * A success rate with Wilson's score interval (1927), which holds for small numbers of trials and for rates near 0 and 1,
 * unlike the rate plus or minus two standard errors.
 *
 * @throws InvalidArgumentError unless 0 ≤ successes ≤ trials
 */
export function successRate(successes: number, trials: number): SuccessRate {
  if (!Number.isInteger(successes) || !Number.isInteger(trials) || successes < 0 || successes > trials) {
    throw new InvalidArgumentError(`${successes} successes of ${trials} trials are no numbers of trials`);
  }
  if (trials === 0) return { successes, trials, rate: 0, low: 0, high: 1 };
  const rate = successes / trials;
  const square = Z * Z;
  const middle = (rate + square / (2 * trials)) / (1 + square / trials);
  const half = (Z / (1 + square / trials)) * Math.sqrt((rate * (1 - rate)) / trials + square / (4 * trials * trials));
  // At the ends the interval ends there exactly; the formula misses by rounding.
  const low = successes === 0 ? 0 : Math.max(0, middle - half);
  const high = successes === trials ? 1 : Math.min(1, middle + half);
  return { successes, trials, rate, low, high };
}
