/** The quantiles that LeRobot stores beside mean, spread and range. */
export const QUANTILES = { q01: 0.01, q10: 0.1, q50: 0.5, q90: 0.9, q99: 0.99 } as const;

/** Names of the statistics of a feature, in LeRobot's order. */
export const STATISTIC_NAMES = ['min', 'max', 'mean', 'std', 'count', 'q01', 'q10', 'q50', 'q90', 'q99'] as const;

type ValueStatistic = Exclude<(typeof STATISTIC_NAMES)[number], 'count'>;

/**
 * Statistics of one feature: one value per vector component (per colour channel for images, scaled to 0 … 1), and the
 * number of vectors (of sampled images) they were taken over. `std` is the population's.
 */
export type FeatureStatistics = Readonly<Record<ValueStatistic, readonly number[]>> & { readonly count: number };

/** LeRobot's resolution of a quantile (`compute_stats.py`, `RunningQuantileStats`). */
const HISTOGRAM_BINS = 5000;
const EDGE_PADDING = 1e-10;

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

/** Equal bins over a closed range; the quantiles are read off with linear interpolation inside a bin. */
class Histogram {
  readonly #low: number;
  readonly #high: number;
  readonly #step: number;
  readonly #bins = new Float64Array(HISTOGRAM_BINS);

  constructor(min: number, max: number) {
    this.#low = min - EDGE_PADDING;
    this.#high = max + EDGE_PADDING;
    this.#step = (this.#high - this.#low) / HISTOGRAM_BINS;
  }

  #edge(bin: number): number {
    return bin === HISTOGRAM_BINS ? this.#high : this.#low + bin * this.#step;
  }

  add(value: number, weight: number): void {
    // For values so large that the padding vanishes in rounding, the step is 0 and everything falls into the first bin.
    const guess = this.#step > 0 ? Math.trunc((value - this.#low) / this.#step) : 0;
    let bin = Math.min(Math.max(guess, 0), HISTOGRAM_BINS - 1);
    while (bin > 0 && value < this.#edge(bin)) bin--;
    while (bin < HISTOGRAM_BINS - 1 && this.#step > 0 && value >= this.#edge(bin + 1)) bin++;
    this.#bins[bin]! += weight;
  }

  quantile(target: number): number {
    let before = 0;
    for (let bin = 0; bin < HISTOGRAM_BINS; bin++) {
      const weight = this.#bins[bin]!;
      if (before + weight >= target) {
        if (bin === 0) return this.#edge(0);
        if (weight === 0) return this.#edge(bin);
        const fraction = (target - before) / weight;
        return this.#edge(bin) + fraction * (this.#edge(bin + 1) - this.#edge(bin));
      }
      before += weight;
    }
    return this.#high;
  }
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

type QuantileName = keyof typeof QUANTILES;

function mapQuantiles(valueOf: (name: QuantileName) => number): Record<QuantileName, number> {
  return { q01: valueOf('q01'), q10: valueOf('q10'), q50: valueOf('q50'), q90: valueOf('q90'), q99: valueOf('q99') };
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
