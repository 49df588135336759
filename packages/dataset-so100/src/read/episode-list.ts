import { DatasetError } from '../errors.ts';
import { MAX_EPISODES } from '../limits.ts';

/**
 * Parses a list of episode numbers such as `0-3,7` (ranges include both ends).
 *
 * @returns the numbers, ascending, without repeats
 * @throws DatasetError `DATASET_URI`
 */
export function parseEpisodeList(text: string): readonly number[] {
  const numbers = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^(\d{1,7})(?:-(\d{1,7}))?$/.exec(part.trim());
    const from = Number(match?.[1] ?? NaN);
    const to = Number(match?.[2] ?? match?.[1] ?? NaN);
    if (!(from <= to && to < MAX_EPISODES)) {
      throw new DatasetError('DATASET_URI', `Episodes "${text.slice(0, 100)}" are not understood at "${part.slice(0, 40)}"`, {
        hint: 'Write numbers and ranges, both ends included: episodes=0-3,7.',
      });
    }
    for (let episode = from; episode <= to; episode++) numbers.add(episode);
  }
  return [...numbers].sort((a, b) => a - b);
}

/** Writes episode numbers the way {@link parseEpisodeList} reads them, shortest form. */
export function formatEpisodeList(episodes: readonly number[]): string {
  const sorted = [...new Set(episodes)].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    let last = i;
    while (sorted[last + 1] === sorted[last]! + 1) last++;
    parts.push(last === i ? `${sorted[i]!}` : `${sorted[i]!}-${sorted[last]!}`);
    i = last + 1;
  }
  return parts.join(',');
}
