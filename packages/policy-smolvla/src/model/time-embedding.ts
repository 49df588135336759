import { ops, type Value } from '@zk0/onnx-train';
import { modelSizes, type SmolVlaModelConfig } from './config.ts';

/** Cycles per unit of time of each sine and cosine: periods from `minPeriod` to `maxPeriod`, geometric. */
function frequencies(config: SmolVlaModelConfig): number[] {
  const count = modelSizes(config).expertWidth / 2;
  const { minPeriod, maxPeriod } = config;
  return Array.from({ length: count }, (_, index) => {
    const fraction = count === 1 ? 0 : index / (count - 1);
    return 1 / (minPeriod * (maxPeriod / minPeriod) ** fraction);
  });
}

/** The embedding of one time, computed in float64: sines, then cosines (`create_sinusoidal_pos_embedding`). */
export function timeEmbedding(config: SmolVlaModelConfig, time: number): number[] {
  const angles = frequencies(config).map((frequency) => 2 * Math.PI * frequency * time);
  return [...angles.map(Math.sin), ...angles.map(Math.cos)];
}

/** Bits that a factor may have for a product of two to be exact in float32's 24. */
const HALF_BITS = 12;

/**
 * The embeddings of times in [0, 1]: float32 [batch] → [batch, expertWidth].
 *
 * LeRobot computes the angles in float64, because a float32 angle of 2π·250 is off by 1e-4. Accelerators have no float64;
 * here frequency and time are cut into pieces whose products are exact in float32, so that whole turns can be taken off
 * before anything is rounded, and sines come from a series (GPUs' own are only sure to 2⁻¹¹). The result is within 2e-6 of
 * {@link timeEmbedding}.
 */
export function timeEmbeddings(config: SmolVlaModelConfig, time: Value): Value {
  const { graph } = time;
  const cycles = frequencies(config);
  const coarse = 2 ** (Math.ceil(Math.log2(Math.max(...cycles))) - HALF_BITS + 1);
  const fine = coarse / 2 ** HALF_BITS;
  const high = cycles.map((cycle) => Math.round(cycle / coarse) * coarse);
  const middle = cycles.map((cycle, index) => Math.round((cycle - high[index]!) / fine) * fine);
  const low = cycles.map((cycle, index) => cycle - high[index]! - middle[index]!);
  const row = (values: readonly number[]): Value => graph.constant(values, 'float32', [1, values.length]);

  const column = ops.reshape(time, [-1, 1]);
  const timeHigh = ops.mul(floor(ops.mul(column, 2 ** HALF_BITS)), 2 ** -HALF_BITS);
  const timeLow = ops.sub(column, timeHigh);
  const turns = ops.addAll([
    ops.mul(column, row(low)),
    ops.mul(timeLow, row(middle)),
    ops.mul(timeHigh, row(middle)),
    withoutTurns(ops.mul(timeLow, row(high))),
    withoutTurns(ops.mul(timeHigh, row(high))),
  ]);
  // The middle frequencies alone, at most half of the coarse step, can go round more than once, and backwards.
  const most = Math.ceil(coarse) + 2;
  return circle(ops.sub(turns, ops.sub(floor(ops.add(turns, most + 0.5)), most)));
}

/** sin 2πt and then cos 2πt, along the second axis, of turns t from −½ to ½. */
function circle(turns: Value): Value {
  const half = ops.mul(turns, Math.PI);
  const square = ops.mul(half, half);
  // Taylor's series of the half angle: what is left out is below 6e-8.
  const series = (...divisors: number[]): Value =>
    divisors.reduceRight<Value | number>((sum, divisor) => ops.sub(1, ops.mul(ops.mul(square, 1 / divisor), sum)), 1) as Value;
  const sine = ops.mul(half, series(2 * 3, 4 * 5, 6 * 7, 8 * 9, 10 * 11));
  const cosine = series(1 * 2, 3 * 4, 5 * 6, 7 * 8, 9 * 10, 11 * 12);
  return ops.concat([ops.mul(ops.mul(sine, cosine), 2), ops.sub(1, ops.mul(ops.mul(sine, sine), 2))], 1);
}

/** Rounding down of values that are not negative. */
function floor(x: Value): Value {
  return ops.cast(ops.cast(x, 'int32'), 'float32');
}

/** What is left of values that are not negative once their nearest whole number is taken off. */
function withoutTurns(x: Value): Value {
  return ops.sub(x, floor(ops.add(x, 0.5)));
}
