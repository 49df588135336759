import type { FeatureMoments, Metrics } from '@zk0/core';

/** Metrics that follow from a round's instructions alone, and so say nothing about anybody's recordings. */
export const PUBLIC_METRICS: ReadonlySet<string> = new Set(['lr', 'mu', 'num_steps']);

/**
 * The metrics that a client may report where (ε, δ) is promised: those of {@link PUBLIC_METRICS}. Losses, gradient and update norms,
 * counts of frames and times follow from the recordings, and noise on the parameters does not cover them: they are left out.
 */
export function privateMetrics(metrics: Metrics): Metrics {
  return Object.fromEntries(Object.entries(metrics).filter(([name]) => PUBLIC_METRICS.has(name)));
}

/**
 * What a client reports beside its update where (ε, δ) is promised: {@link privateMetrics}, and 1 for its number of examples, for all
 * weigh the same there.
 */
export function privateReport({ metrics }: { readonly numExamples: number; readonly metrics: Metrics }): {
  readonly numExamples: number;
  readonly metrics: Metrics;
} {
  return { numExamples: 1, metrics: privateMetrics(metrics) };
}

/**
 * Moments for a normaliser where those of the recordings must not leave a node: of the uniform distribution over ranges that everybody
 * knows (the limits of the robot's joints). Exact minima, maxima and means are values of single frames, or nearly.
 *
 * @param ranges - least and greatest value of each axis.
 */
export function publicMoments(ranges: readonly { readonly low: number; readonly high: number }[]): FeatureMoments {
  return {
    count: 1,
    mean: ranges.map(({ low, high }) => low / 2 + high / 2),
    m2: ranges.map(({ low, high }) => (high - low) ** 2 / 12),
    min: ranges.map(({ low }) => low),
    max: ranges.map(({ high }) => high),
  };
}
