import { InvalidArgumentError } from '@zk0/core';
import { SecureAggregationError } from './errors.ts';

/** Clients of one sum, at most: the range of each is still 2¹⁹ steps to either side. */
export const MAX_CLIENTS = 4096;

/** What all clients of a sum, and its server, agree on about numbers. */
export interface Quantization {
  /** How many vectors may be added. */
  readonly clients: number;
  /** Values are taken as at most so large, to either side. */
  readonly clip: number;
  /** The weight of a vector is a part of this. */
  readonly maxWeight: number;
}

/**
 * Steps from 0 to the end of one client's range: the largest number of which `clients` times as much is below 2³¹. Sums of integers modulo
 * 2³² are then read back as what they are: they cannot wrap, whatever the clients' values.
 *
 * @throws InvalidArgumentError unless there are 1 to {@link MAX_CLIENTS}.
 */
export function stepsOf({ clients }: Pick<Quantization, 'clients'>): number {
  if (!(Number.isInteger(clients) && clients >= 1 && clients <= MAX_CLIENTS)) {
    throw new InvalidArgumentError(`a sum of ${clients} vectors: it can have 1 to ${MAX_CLIENTS}`);
  }
  return Math.floor((2 ** 31 - 1) / clients);
}

/**
 * The most by which a coordinate of the mean differs from the weighted mean of the clipped vectors, beside float32's own rounding: half a
 * step for each vector, and for what rounding moved its weight by, at most the whole range.
 *
 * @param weights of the vectors in the sum.
 */
export function largestError(quantization: Quantization, weights: readonly number[]): number {
  const { clip, maxWeight } = quantization;
  const steps = stepsOf(quantization);
  let [total, error] = [0, 0];
  for (const weight of weights) {
    const rounded = quantizeWeight(weight, quantization);
    total += rounded;
    error += 0.5 + 2 * Math.abs(rounded - Math.min(1, weight / maxWeight) * steps);
  }
  return (clip * error) / total;
}

/** A weight in steps: at least 1, so that nobody who takes part is left out. @throws InvalidArgumentError unless it is above 0 */
export function quantizeWeight(weight: number, quantization: Quantization): number {
  const { maxWeight } = quantization;
  if (!(weight > 0 && maxWeight > 0 && Number.isFinite(maxWeight))) throw new InvalidArgumentError(`a weight of ${weight}, of at most ${maxWeight}`);
  return Math.max(1, Math.round(Math.min(1, weight / maxWeight) * stepsOf(quantization)));
}

/**
 * Weighted values as integers: clipped, times the weight in steps, divided by the clipping range, rounded to the nearest.
 *
 * @param into as long as `values`.
 * @returns how many values were clipped.
 * @throws SecureAggregationError `SECURE_NON_FINITE`
 */
export function quantizeInto(into: Int32Array, values: ArrayLike<number>, weight: number, { clip }: Pick<Quantization, 'clip'>): number {
  const scale = weight / clip;
  let clipped = 0;
  for (let index = 0; index < into.length; index++) {
    let value = values[index]!;
    if (!(value >= -clip && value <= clip)) {
      if (!Number.isFinite(value)) throw new SecureAggregationError('SECURE_NON_FINITE', `element ${index} is not finite`, { hint: 'The training diverged: lower the learning rate.' });
      value = value > 0 ? clip : -clip;
      clipped++;
    }
    into[index] = Math.round(value * scale);
  }
  return clipped;
}

/**
 * The weighted mean that a sum is of.
 *
 * @param into as long as `sums`.
 * @param total the sum of the weights, in steps.
 * @param clients vectors in the sum.
 * @throws SecureAggregationError `SECURE_OUT_OF_RANGE` for a sum that so many vectors with so much weight cannot have: somebody did not
 * keep to the range.
 */
export function meanInto(into: Float32Array, sums: Int32Array, total: number, clients: number, { clip }: Pick<Quantization, 'clip'>): void {
  const [scale, most] = [clip / total, total + clients];
  for (let index = 0; index < sums.length; index++) {
    const sum = sums[index]!;
    if (sum > most || sum < -most) throw new SecureAggregationError('SECURE_OUT_OF_RANGE', `element ${index} of the sum is outside what ${clients} vectors of this weight can add up to`, { hint: OUT_OF_RANGE_HINT });
    into[index] = sum * scale;
  }
}

/** The sum of the weights, in steps. @throws SecureAggregationError `SECURE_OUT_OF_RANGE` */
export function totalWeight(sum: number, clients: number, quantization: Quantization): number {
  if (sum >= clients && sum <= clients * stepsOf(quantization)) return sum;
  throw new SecureAggregationError('SECURE_OUT_OF_RANGE', `the sum of the weights of ${clients} vectors is outside what it can be`, { hint: OUT_OF_RANGE_HINT });
}

const OUT_OF_RANGE_HINT = 'One client at least sends something else than its masked update: run the same release everywhere, or find it by excluding clients.';
