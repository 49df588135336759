import { access } from 'node:fs/promises';
import { z } from 'zod';
import type { Recording } from '../read/recording.ts';
import { parsePythonJson, readText } from './text-files.ts';

const vector = z.array(z.number().nullable()).max(65_536);
const featureStats = z.looseObject({ min: vector, max: vector, mean: vector, std: vector });

/** Statistics of a vector feature as a dataset states them; `null` stands for NaN or an infinity. */
export type StoredStats = z.infer<typeof featureStats>;

/**
 * Reads the statistics of a feature from `meta/stats.json`; null where the file or the feature is absent (v2.1 keeps
 * them per episode).
 */
export async function readStoredStats({ folder }: Recording): Promise<Readonly<Record<string, unknown>> | null> {
  const isThere = await access(folder.join('meta/stats.json')).then(() => true, () => false);
  if (!isThere) return null;
  const file = await folder.resolve('meta/stats.json');
  const json = parsePythonJson(await readText(file), file);
  return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {};
}

/** The statistics of one feature out of what {@link readStoredStats} returned; null where they are malformed. */
export function storedStatsOf(stats: Readonly<Record<string, unknown>>, feature: string): StoredStats | null {
  const parsed = featureStats.safeParse(stats[feature]);
  return parsed.success ? parsed.data : null;
}
