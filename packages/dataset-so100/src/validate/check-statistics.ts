import type { FeatureMoments } from '@zk0/core';
import { readStoredStats, storedStatsOf } from '../format/stored-stats.ts';
import type { Recording } from '../read/recording.ts';
import { mergeMoments } from '../stats/moments.ts';
import type { EpisodeFacts } from './check-rows.ts';
import type { Findings } from './findings.ts';

/** Largest difference between stated and true statistics, in units of the feature's range, that is not reported. */
const TOLERANCE = 1e-3;

/** Compares the statistics that a dataset states with those of its rows, and reports joints that never move. */
export async function checkStatistics(
  recording: Recording,
  facts: readonly EpisodeFacts[],
  findings: Findings,
): Promise<void> {
  if (facts.length === 0) return;
  const { info, folder } = recording;
  const features = [
    { feature: info.state, moments: mergeMoments(facts.map(({ state }) => state)) },
    { feature: info.action, moments: mergeMoments(facts.map(({ action }) => action)) },
  ];
  for (const { feature, moments } of features) {
    moments.min.forEach((min, i) => {
      if (min !== moments.max[i]) return;
      findings.add('info', 'CONSTANT_FEATURE', `${feature.key} "${feature.names[i]!}" is always ${min}.`);
    });
  }
  const isWhole = facts.length === recording.episodes.length;
  if (!isWhole) return;
  const stored = await readStoredStats(recording);
  if (stored === null) {
    if (info.version !== 'v2.1') findings.add('info', 'STATISTICS', 'meta/stats.json is missing; the rows are used instead.');
    return;
  }
  for (const { feature, moments } of features) {
    const stated = storedStatsOf(stored, feature.key);
    const worst = stated === null ? null : difference(stated, moments);
    const file = folder.join('meta/stats.json');
    if (worst === null) findings.add('warning', 'STATISTICS', `${file} has no usable statistics of ${feature.key}.`, { file });
    else if (worst.by > TOLERANCE) {
      const message =
        `${file}: the ${worst.what} of ${feature.key} "${feature.names[worst.index] ?? String(worst.index)}" is not that ` +
        `of the rows (off by ${(worst.by * 100).toFixed(1)} % of its range); the rows are used.`;
      findings.add('warning', 'STATISTICS', message, { file });
    }
  }
}

type Stated = Readonly<Record<'min' | 'max' | 'mean' | 'std', readonly (number | null)[]>>;

/** The largest difference between stated and true values, in units of each value's range; null for other sizes. */
function difference(stated: Stated, moments: FeatureMoments): { by: number; what: string; index: number } | null {
  const std = moments.m2.map((m2) => Math.sqrt(m2 / moments.count));
  let worst = { by: 0, what: '', index: 0 };
  for (const [what, actual] of Object.entries({ min: moments.min, max: moments.max, mean: moments.mean, std })) {
    const claimed = stated[what as keyof Stated];
    if (claimed.length !== actual.length) return null;
    actual.forEach((value, index) => {
      const range = Math.max(moments.max[index]! - moments.min[index]!, 1e-6);
      const by = Math.abs((claimed[index] ?? Infinity) - value) / range;
      if (by > worst.by) worst = { by, what, index };
    });
  }
  return worst;
}
