import { Histogram } from '../stats/histogram.ts';
import { mapQuantiles, QUANTILES } from '../stats/quantiles.ts';

/** Names of the statistics of a feature, in LeRobot's order. */
export const STATISTIC_NAMES = ['min', 'max', 'mean', 'std', 'count', 'q01', 'q10', 'q50', 'q90', 'q99'] as const;

type ValueStatistic = Exclude<(typeof STATISTIC_NAMES)[number], 'count'>;

/**
 * Statistics of one feature: one value per vector component (per colour channel for images, scaled to 0 … 1), and the
 * number of vectors (of sampled images) they were taken over. `std` is the population's.
 */
export type FeatureStatistics = Readonly<Record<ValueStatistic, readonly number[]>> & { readonly count: number };

/** Statistics of `values`, row-major vectors of `width` components. */
export function vectorStatistics(values: ArrayLike<number>, width: number): FeatureStatistics {
  const count = values.length / width;
  const components = Array.from({ length: width }, (_, component) => {
    const column = new Float64Array(count);
    for (let row = 0; row < count; row++) column[row] = values[row * width + component]!;
    return componentStatistics(column);
  });
  return gather(components, count);
}

/**
 * Statistics of 8-bit RGB images from the number of pixels at each level: `levels` holds 3 × 256 counts.
 * `images` is the number of images counted.
 */
export function imageStatistics(levels: ArrayLike<number>, images: number): FeatureStatistics {
  const channels = [0, 1, 2].map((channel) => {
    const values: number[] = [];
    const counts: number[] = [];
    for (let level = 0; level < 256; level++) {
      const pixels = levels[channel * 256 + level]!;
      if (pixels === 0) continue;
      values.push(level);
      counts.push(pixels);
    }
    const statistics = componentStatistics(values, counts);
    return Object.fromEntries(
      Object.entries(statistics).map(([name, value]) => [name, value / 255]),
    ) as typeof statistics;
  });
  return gather(channels, images);
}

/**
 * Merges statistics of several episodes as LeRobot does (`aggregate_feature_stats`): exact for count, mean, spread and
 * range; the quantiles are count-weighted means of the episodes' quantiles, an approximation.
 */
export function mergeStatistics(parts: readonly FeatureStatistics[]): FeatureStatistics {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const components = parts[0]!.mean.map((_, component) => {
    const weighted = (value: (part: FeatureStatistics) => number): number =>
      parts.reduce((sum, part) => sum + value(part) * part.count, 0) / count;
    const mean = weighted((part) => part.mean[component]!);
    const variance = weighted((part) => part.std[component]! ** 2 + (part.mean[component]! - mean) ** 2);
    const quantiles = mapQuantiles((name) => weighted((part) => part[name][component]!));
    return {
      min: Math.min(...parts.map((part) => part.min[component]!)),
      max: Math.max(...parts.map((part) => part.max[component]!)),
      mean,
      std: Math.sqrt(variance),
      ...quantiles,
    };
  });
  return gather(components, count);
}

/**
 * Which of `length` images LeRobot takes its statistics over: about `length^0.75`, at least 100 (or all), at most
 * 10 000, evenly spread (`sample_indices`).
 */
export function sampledImageIndices(length: number): number[] {
  const samples = Math.max(Math.min(length, 100), Math.min(Math.trunc(length ** 0.75), 10_000));
  const step = samples > 1 ? (length - 1) / (samples - 1) : 0;
  return Array.from({ length: samples }, (_, index) => roundHalfToEven(index * step));
}

type ComponentStatistics = Record<ValueStatistic, number>;

function componentStatistics(values: ArrayLike<number>, counts?: readonly number[]): ComponentStatistics {
  let total = 0;
  let sum = 0;
  let min = Infinity;
  let max = -Infinity;
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    const weight = counts?.[index] ?? 1;
    total += weight;
    sum += value * weight;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const mean = sum / total;
  let m2 = 0;
  for (let index = 0; index < values.length; index++) m2 += (counts?.[index] ?? 1) * (values[index]! - mean) ** 2;
  const base = { min, max, mean, std: Math.sqrt(m2 / total) };
  if (total < 2) return { ...base, ...mapQuantiles(() => mean) };
  const histogram = new Histogram(min, max);
  for (let index = 0; index < values.length; index++) histogram.add(values[index]!, counts?.[index] ?? 1);
  return { ...base, ...mapQuantiles((name) => histogram.quantile(QUANTILES[name] * total)) };
}

function gather(components: readonly ComponentStatistics[], count: number): FeatureStatistics {
  const pick = (name: ValueStatistic): number[] => components.map((component) => component[name]);
  return {
    min: pick('min'),
    max: pick('max'),
    mean: pick('mean'),
    std: pick('std'),
    count,
    q01: pick('q01'),
    q10: pick('q10'),
    q50: pick('q50'),
    q90: pick('q90'),
    q99: pick('q99'),
  };
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
