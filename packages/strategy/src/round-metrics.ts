import type { Metrics } from '@zk0/core';
import type { ClientUpdate } from './contract.ts';
import { privateMetrics } from './privacy/private-report.ts';
import { weightedMean } from './statistics.ts';

/** Counts, by their names: of these a round has the sum. */
const COUNT = /^(?:num|bytes)_/;

/**
 * Of the metrics that every client reported: sums of counts (`num_…`, `bytes_…`), example-weighted means of everything else; equal weights
 * under privacy, as everywhere there.
 */
export function roundMetrics(updates: readonly Pick<ClientUpdate, 'numExamples' | 'metrics'>[], isPrivate: boolean): Metrics {
  const reports = updates.map(({ metrics }) => (isPrivate ? privateMetrics(metrics) : metrics));
  const names = Object.keys(reports[0] ?? {}).filter((name) => reports.every((metrics) => Object.hasOwn(metrics, name)));
  const weights = updates.map(({ numExamples }) => (isPrivate ? 1 : numExamples));
  return Object.fromEntries(
    names.map((name) => {
      const values = reports.map((metrics) => metrics[name]!);
      return [name, COUNT.test(name) ? sum(values) : weightedMean(values, weights)];
    }),
  );
}

/** Never infinite, whatever the values. */
function sum(values: readonly number[]): number {
  const total = values.reduce((most, value) => most + value, 0);
  return Math.max(-Number.MAX_VALUE, Math.min(total, Number.MAX_VALUE));
}
