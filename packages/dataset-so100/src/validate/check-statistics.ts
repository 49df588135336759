import type { FeatureMoments } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { VectorFeature } from '../format/info.ts';
import {
  EPISODE_STATS_FILE,
  readEpisodeStats,
  readStoredStats,
  STATS_FILE,
  storedStatsOf,
  type StoredFeatures,
  type StoredStats,
} from '../format/stored-stats.ts';
import type { TableReader } from '../format/table-reader.ts';
import type { Recording } from '../read/recording.ts';
import { mergeMoments } from '../stats/moments.ts';
import type { EpisodeFacts } from './check-rows.ts';
import type { Findings } from './findings.ts';

/** Largest difference between stated and true statistics, in units of the feature's range, that is not reported. */
const TOLERANCE = 1e-3;

/** Rounding of float32 arithmetic over a few thousand rows, relative to the values. */
const FLOAT32_NOISE = 1e-5;

/**
 * Compares the statistics that a dataset states, of the whole and of each episode, with those of its rows; reports joints
 * that never move, and spreads of zero, infinity or NaN, by which a normaliser would divide (lerobot #3645).
 */
export async function checkStatistics(
  recording: Recording,
  facts: readonly EpisodeFacts[],
  tables: TableReader,
  findings: Findings,
): Promise<void> {
  if (facts.length === 0) return;
  const { info, folder } = recording;
  const features: readonly Feature[] = [
    { feature: info.state, moments: mergeMoments(facts.map(({ state }) => state)), of: ({ state }) => state },
    { feature: info.action, moments: mergeMoments(facts.map(({ action }) => action)), of: ({ action }) => action },
  ];
  for (const { feature, moments } of features) checkConstant(feature, moments, findings);
  await reporting(findings, async () => {
    const whole = await readStoredStats(recording);
    if (whole !== null) {
      checkCameraSpread(whole, recording, findings);
      // Of some of the episodes nothing can be said.
      if (facts.length < recording.episodes.length) return;
      for (const one of features) checkFeature(whole, one.feature, one.moments, { file: folder.join(STATS_FILE) }, findings);
    } else if (info.version !== 'v2.1') {
      findings.add('info', 'STATISTICS', `${STATS_FILE} is missing; the rows are used instead.`);
    }
  });
  await reporting(findings, async () => {
    const byEpisode = await readEpisodeStats(recording, [info.state.key, info.action.key], tables);
    if (byEpisode === null) {
      if (info.version === 'v2.1') findings.add('info', 'STATISTICS', `${EPISODE_STATS_FILE} is missing; the rows are used instead.`);
      return;
    }
    const file = info.version === 'v2.1' ? folder.join(EPISODE_STATS_FILE) : folder.join('meta/episodes');
    for (const fact of facts) {
      const stats = byEpisode.get(fact.episode.episodeIndex);
      if (stats === undefined) continue;
      const where = { file, episode: fact.episode.episodeIndex };
      for (const { feature, of } of features) checkFeature(stats, feature, of(fact), where, findings);
    }
  });
}

interface Feature {
  readonly feature: VectorFeature;
  readonly moments: FeatureMoments;
  readonly of: (facts: EpisodeFacts) => FeatureMoments;
}

interface Place {
  readonly file: string;
  readonly episode?: number;
}

async function reporting(findings: Findings, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    if (!(error instanceof DatasetError)) throw error;
    // Damaged statistics stop nobody: those of the rows are used.
    findings.add('warning', 'STATISTICS', error.message, error.file === undefined ? {} : { file: error.file });
  }
}

function checkConstant({ key, names }: VectorFeature, moments: FeatureMoments, findings: Findings): void {
  moments.min.forEach((min, i) => {
    if (min === moments.max[i]) findings.add('info', 'CONSTANT_FEATURE', `${key} "${names[i]!}" is always ${min}.`);
  });
}

function checkFeature(
  stats: StoredFeatures,
  { key, names }: VectorFeature,
  moments: FeatureMoments,
  place: Place,
  findings: Findings,
): void {
  const stated = storedStatsOf(stats, key);
  const ofEpisode = place.episode === undefined ? '' : ` of episode ${place.episode}`;
  const name = (index: number): string => `${key} "${names[index] ?? String(index)}"${ofEpisode}`;
  const worst = stated === null ? null : difference(stated, moments);
  if (stated === null || worst === null) {
    findings.add('warning', 'STATISTICS', `${place.file} has no usable statistics of ${key}${ofEpisode}.`, place);
    return;
  }
  const flat = stated.std.findIndex((std, i) => !isSpread(std) && moments.min[i]! < moments.max[i]!);
  if (flat !== -1) findings.add('warning', 'SPREAD', spreadMessage(place.file, name(flat), stated.std[flat]!), place);
  else if (worst.by > TOLERANCE) {
    const off = Number.isFinite(worst.by) ? `off by ${(worst.by * 100).toFixed(1)} % of its range` : 'NaN or an infinity';
    const message = `${place.file}: the ${worst.what} of ${name(worst.index)} is not that of the rows (${off}); the rows are used.`;
    findings.add('warning', 'STATISTICS', message, place);
  }
}

function checkCameraSpread(stats: StoredFeatures, { info, folder }: Recording, findings: Findings): void {
  const file = folder.join(STATS_FILE);
  for (const { key } of info.cameras) {
    const stated = storedStatsOf(stats, key);
    const flat = stated?.std.find((std) => !isSpread(std));
    if (flat !== undefined) findings.add('warning', 'SPREAD', spreadMessage(file, key, flat), { file, camera: key });
  }
}

function isSpread(std: number | null): boolean {
  return std !== null && std > 0;
}

function spreadMessage(file: string, what: string, std: number | null): string {
  return `${file}: the spread of ${what} is ${std === null ? 'NaN or an infinity' : String(std)}; whoever divides by it gets infinities.`;
}

/** The largest difference between stated and true values, in units of each value's range; null for other sizes. */
function difference(stated: StoredStats, moments: FeatureMoments): { by: number; what: string; index: number } | null {
  const std = moments.m2.map((m2) => Math.sqrt(m2 / moments.count));
  let worst = { by: 0, what: '', index: 0 };
  for (const what of ['min', 'max', 'mean', 'std'] as const) {
    const actual = what === 'std' ? std : moments[what];
    const claimed = stated[what];
    if (claimed.length !== actual.length) return null;
    actual.forEach((value, index) => {
      const range = Math.max(moments.max[index]! - moments.min[index]!, 1e-6);
      const noise = roundingOf(what, value, Math.max(Math.abs(moments.min[index]!), Math.abs(moments.max[index]!)));
      const by = Math.max(0, Math.abs((claimed[index] ?? Infinity) - value) - noise) / range;
      if (by > worst.by) worst = { by, what, index };
    });
  }
  return worst;
}

/**
 * How far rounding alone may put a statistic off: LeRobot computes in float32, and a spread as the difference of two
 * squares of the values' own size.
 */
function roundingOf(what: string, value: number, scale: number): number {
  return what === 'std' ? Math.sqrt(value * value + FLOAT32_NOISE * scale * scale) - value : FLOAT32_NOISE * scale;
}
