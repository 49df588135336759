import { access } from 'node:fs/promises';
import { z } from 'zod';
import { DatasetError } from '../errors.ts';
import { MAX_EPISODES } from '../limits.ts';
import type { Recording } from '../read/recording.ts';
import { listEpisodeFiles, parseRow } from './episodes.ts';
import type { TableReader } from './table-reader.ts';
import { parsePythonJson, readJsonLines, readText } from './text-files.ts';

/** Numbers nested as a recorder nested them: `[n]` for vectors, `[3, 1, 1]` for images; `null` is NaN or an infinity. */
type Nested = number | bigint | null | readonly Nested[];
const numbers = z.array(z.unknown()).max(65_536).transform((value) => flatten(value as Nested[]));
const required = z.looseObject({ min: numbers, max: numbers, mean: numbers, std: numbers });
const quantiles = z.looseObject({ q01: numbers, q10: numbers, q50: numbers, q90: numbers, q99: numbers }).partial();

/** Values of one statistic, one per vector component or colour channel; `null` stands for NaN or an infinity. */
export type StoredValues = readonly (number | null)[];

/** Statistics of a feature as a dataset states them; quantiles from LeRobot 0.4 on. */
export type StoredStats = Readonly<Record<'min' | 'max' | 'mean' | 'std', StoredValues>> & {
  readonly quantiles: Readonly<Partial<Record<'q01' | 'q10' | 'q50' | 'q90' | 'q99', StoredValues>>>;
};

/** By feature, unchecked: see {@link storedStatsOf}. */
export type StoredFeatures = Readonly<Record<string, unknown>>;

/** Statistics of whole sets, of v2.0 and v3.0. */
export const STATS_FILE = 'meta/stats.json';
/** Statistics by episode, of v2.1. */
export const EPISODE_STATS_FILE = 'meta/episodes_stats.jsonl';

/**
 * Reads `meta/stats.json`; null where it is absent.
 *
 * @throws DatasetError naming the file, where it is no JSON
 */
export async function readStoredStats(recording: Recording): Promise<StoredFeatures | null> {
  if (!(await isThere(recording, STATS_FILE))) return null;
  const file = await recording.folder.resolve(STATS_FILE);
  const json = parsePythonJson(await readText(file), file);
  return typeof json === 'object' && json !== null ? (json as StoredFeatures) : {};
}

const episodeRow = z.looseObject({
  episode_index: z.number().int().min(0).max(MAX_EPISODES),
  stats: z.record(z.string(), z.unknown()),
});

/**
 * Reads the statistics that v2.1 keeps of each episode in `meta/episodes_stats.jsonl` and v3.0 in `meta/episodes`: episode
 * number → features. Null where there are none.
 *
 * @param features those that are wanted
 * @throws DatasetError naming file and row
 */
export async function readEpisodeStats(
  recording: Recording,
  features: readonly string[],
  tables: TableReader,
): Promise<ReadonlyMap<number, StoredFeatures> | null> {
  const { folder, info } = recording;
  const found = new Map<number, StoredFeatures>();
  if (info.version === 'v3.0') {
    const columns = features.flatMap((feature) => STATISTICS.map((name) => `stats/${feature}/${name}`));
    for (const relative of await listEpisodeFiles(folder)) {
      const file = await folder.resolve(relative);
      const rows = await tables.rows(file, { required: ['episode_index'], optional: columns }, MAX_EPISODES);
      for (const row of rows) {
        const stats = features.flatMap((feature) => {
          const values = STATISTICS.flatMap((name) => {
            const value = row[`stats/${feature}/${name}`];
            return value == null ? [] : [[name, value] as const];
          });
          return values.length === 0 ? [] : [[feature, Object.fromEntries(values)] as const];
        });
        if (stats.length > 0) found.set(Number(row['episode_index']), Object.fromEntries(stats));
      }
    }
    return found.size === 0 ? null : found;
  }
  if (!(await isThere(recording, EPISODE_STATS_FILE))) return null;
  const file = await folder.resolve(EPISODE_STATS_FILE);
  (await readJsonLines(file, MAX_EPISODES)).forEach((row, line) => {
    const { episode_index: episode, stats } = parseRow(episodeRow, row, file, line);
    found.set(episode, stats);
  });
  return found;
}

const STATISTICS = ['min', 'max', 'mean', 'std', 'q01', 'q10', 'q50', 'q90', 'q99'] as const;

/** The statistics of one feature; null where they are absent or malformed. */
export function storedStatsOf(stats: StoredFeatures, feature: string): StoredStats | null {
  const stated = Object.hasOwn(stats, feature) ? stats[feature] : undefined;
  try {
    const parsed = required.safeParse(stated);
    if (!parsed.success) return null;
    const { min, max, mean, std } = parsed.data;
    const more = quantiles.safeParse(stated);
    return { min, max, mean, std, quantiles: more.success ? pickQuantiles(more.data) : {} };
  } catch (error) {
    if (error instanceof DatasetError) return null;
    throw error;
  }
}

function pickQuantiles({ q01, q10, q50, q90, q99 }: z.infer<typeof quantiles>): StoredStats['quantiles'] {
  const all = { q01, q10, q50, q90, q99 };
  return Object.fromEntries(Object.entries(all).filter(([, values]) => values !== undefined));
}

/** All numbers, in order. @throws DatasetError for anything else */
function flatten(nested: readonly Nested[], depth = 0): StoredValues {
  return nested.flatMap((value): StoredValues => {
    if (Array.isArray(value) && depth < 4) return flatten(value as readonly Nested[], depth + 1);
    if (value !== null && typeof value !== 'number' && typeof value !== 'bigint') {
      throw new DatasetError('DATASET_METADATA', 'a statistic is no number');
    }
    const number = value === null ? NaN : Number(value);
    return [Number.isFinite(number) ? number : null];
  });
}

async function isThere({ folder }: Recording, relative: string): Promise<boolean> {
  return await access(folder.join(relative)).then(() => true, () => false);
}
