import { InvalidArgumentError } from '@zk0/core';
import { logErfc } from './erfc.ts';

/** Rounds with the same mechanism: each client takes part with probability `samplingRate`, noise is `noiseMultiplier`·clip. */
export interface PrivacyEvent {
  readonly noiseMultiplier: number;
  /** 1 when the choice of clients may not be counted in privacy's favour. */
  readonly samplingRate: number;
  readonly rounds: number;
}

/** Rényi orders that are tried: dense where small budgets have their optimum, sparse beyond. */
export const DEFAULT_ORDERS: readonly number[] = [
  ...Array.from({ length: 99 }, (_, index) => 1 + (index + 1) / 10),
  ...Array.from({ length: 52 }, (_, index) => 12 + index),
  ...[64, 80, 96, 128, 192, 256, 384, 512, 768, 1024],
];

/**
 * ε of (ε, δ)-differential privacy after these rounds, for one client's participation: Rényi accounting of the Poisson-subsampled
 * Gaussian mechanism (Mironov, Talwar & Zhang, 2019), converted by Canonne, Kamath & Steinke (2020), proposition 12.
 *
 * @throws InvalidArgumentError when a value is out of range.
 */
export function privacySpent(events: readonly PrivacyEvent[], delta: number, orders: readonly number[] = DEFAULT_ORDERS): number {
  if (!(delta > 0 && delta < 1)) throw new InvalidArgumentError(`δ is ${delta}, not between 0 and 1`);
  if (events.every(({ rounds }) => rounds === 0)) return 0;
  let best = Infinity;
  for (const order of orders) {
    const divergence = events.reduce((sum, event) => sum + (event.rounds === 0 ? 0 : event.rounds * renyiDivergence(event, order)), 0);
    const epsilon = divergence + Math.log((order - 1) / order) - (Math.log(delta) + Math.log(order)) / (order - 1);
    best = Math.min(best, epsilon);
  }
  return Math.max(0, best);
}

/** Rényi divergence of order `order` of one round. */
export function renyiDivergence({ noiseMultiplier, samplingRate }: Omit<PrivacyEvent, 'rounds'>, order: number): number {
  if (!(noiseMultiplier >= 0)) throw new InvalidArgumentError(`noise multiplier is ${noiseMultiplier}`);
  if (!(samplingRate >= 0 && samplingRate <= 1)) throw new InvalidArgumentError(`sampling rate is ${samplingRate}`);
  if (!(order > 1)) throw new InvalidArgumentError(`Rényi order is ${order}`);
  if (samplingRate === 0) return 0;
  if (noiseMultiplier === 0) return Infinity;
  if (samplingRate === 1) return order / (2 * noiseMultiplier ** 2);
  const logMoment = Number.isInteger(order)
    ? logMomentInteger(samplingRate, noiseMultiplier, order)
    : logMomentFractional(samplingRate, noiseMultiplier, order);
  return logMoment / (order - 1);
}

/** log A_α for integer α: a finite binomial sum (section 3.3 of the paper). */
function logMomentInteger(q: number, sigma: number, order: number): number {
  let logSum = -Infinity;
  let logBinomial = 0;
  for (let i = 0; i <= order; i++) {
    if (i > 0) logBinomial += Math.log((order - i + 1) / i);
    const term = logBinomial + i * Math.log(q) + (order - i) * Math.log1p(-q) + (i * i - i) / (2 * sigma ** 2);
    logSum = logAdd(logSum, term);
  }
  return logSum;
}

/** log A_α for fractional α: two series that meet at the crossing point `z` of the two densities (section 3.3). */
function logMomentFractional(q: number, sigma: number, order: number): number {
  const z = sigma ** 2 * Math.log(1 / q - 1) + 0.5;
  const root = Math.SQRT2 * sigma;
  // Terms change sign beyond i = α: sums of either sign are kept apart until the end.
  let positive = -Infinity;
  let negative = -Infinity;
  let logBinomial = 0;
  let sign = 1;
  for (let i = 0; ; i++) {
    if (i > 0) {
      const factor = (order - i + 1) / i;
      logBinomial += Math.log(Math.abs(factor));
      sign *= Math.sign(factor);
    }
    const j = order - i;
    const below =
      logBinomial + i * Math.log(q) + j * Math.log1p(-q) + (i * i - i) / (2 * sigma ** 2) + Math.log(0.5) + logErfc((i - z) / root);
    const above =
      logBinomial + j * Math.log(q) + i * Math.log1p(-q) + (j * j - j) / (2 * sigma ** 2) + Math.log(0.5) + logErfc((z - j) / root);
    if (sign > 0) positive = logAdd(logAdd(positive, below), above);
    else negative = logAdd(logAdd(negative, below), above);
    // Beyond i = α terms alternate and fall, so what is left out is less than the first term left out.
    if (i > order && Math.max(below, above) < positive - 28) break;
  }
  return positive + Math.log1p(-Math.exp(negative - positive));
}

function logAdd(a: number, b: number): number {
  const high = Math.max(a, b);
  return high === -Infinity ? -Infinity : high + Math.log1p(Math.exp(Math.min(a, b) - high));
}
