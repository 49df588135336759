import type { FeatureMoments } from '@zk0/core';
import { Histogram } from './histogram.ts';
import { mergeMoments, momentsOf } from './moments.ts';
import { mapQuantiles, QUANTILES, type QuantileName } from './quantiles.ts';

/** Moments of a vector feature, and its quantiles, one value per component. */
export interface QuantileStatistics {
  readonly moments: FeatureMoments;
  readonly quantiles: Readonly<Record<QuantileName, readonly number[]>>;
}

/**
 * Statistics of rows that come in parts, in memory that does not grow with them: exact moments, and quantiles from
 * histograms that stretch as the range grows, as LeRobot's `RunningQuantileStats` has them. Two of them merge.
 */
export class RunningStatistics {
  readonly #size: number;
  #moments: FeatureMoments | null = null;
  #histograms: readonly Histogram[] = [];

  /** @param size values in a row */
  constructor(size: number) {
    this.#size = size;
  }

  /**
   * Takes more rows in.
   *
   * @param values row-major, finite
   */
  update(values: ArrayLike<number>): void {
    if (values.length === 0) return;
    this.#grow(momentsOf(values, this.#size));
    this.#histograms.forEach((histogram, column) => {
      for (let i = column; i < values.length; i += this.#size) histogram.add(values[i]!);
    });
  }

  /** Takes in what another one has seen. */
  merge(other: RunningStatistics): void {
    if (other.#moments === null) return;
    this.#grow(other.#moments);
    this.#histograms.forEach((histogram, i) => {
      histogram.take(other.#histograms[i]!);
    });
  }

  /** @throws RangeError when no rows were taken in */
  statistics(): QuantileStatistics {
    const moments = this.#moments;
    if (moments === null) throw new RangeError('There are no rows to tell statistics of');
    const quantiles = mapQuantiles((name) =>
      // LeRobot gives the mean as every quantile of a single row.
      moments.count < 2 ? moments.mean : this.#histograms.map((histogram) => histogram.quantile(QUANTILES[name] * moments.count)),
    );
    return { moments, quantiles };
  }

  #grow(more: FeatureMoments): void {
    const before = this.#moments;
    if (before === null) {
      this.#histograms = more.min.map((min, i) => new Histogram(min, more.max[i]!));
      this.#moments = more;
      return;
    }
    const after = mergeMoments([before, more]);
    this.#moments = after;
    const isWider = after.min.some((min, i) => min < before.min[i]! || after.max[i]! > before.max[i]!);
    // All of them together, as LeRobot does.
    if (!isWider) return;
    this.#histograms.forEach((histogram, i) => {
      histogram.stretch(after.min[i]!, after.max[i]!);
    });
  }
}
