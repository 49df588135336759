import { DatasetError } from '../errors.ts';
import { scoresOf } from '../read/choose-sound.ts';
import { edit, type EditOptions, type EditResult } from './edit.ts';
import { writeEdited } from './edit-writer.ts';

/** Which episodes a copy is to lack. */
export interface DropRule {
  /** Recorded numbers. */
  readonly episodes?: readonly number[];
  /** Those that move worse than this score of `zk0-client dataset doctor`, 0 … 1. */
  readonly scoreBelow?: number;
}

export interface DropResult extends EditResult {
  /** Recorded numbers of the episodes that are not in the copy; the score of those that were left out for it. */
  readonly dropped: readonly { readonly episode: number; readonly score: number | null }[];
}

/**
 * Writes a copy of a dataset, in format v3.0, without some of its episodes; the others are renumbered from 0. Of videos that hold
 * episodes of both kinds only the parts of those that stay are in the copy, see `cutVideo`.
 *
 * @param uri address of the dataset, see `openDataset`
 * @param to folder of the copy; must not exist
 * @throws DatasetError `DATASET_EPISODES` for episodes that do not exist, and where none would be left or none is dropped; whatever is
 *   wrong with the dataset
 * @throws DatasetWriteError `DATASET_EXISTS`, `DATASET_NOT_CONVERTIBLE`
 */
export async function dropEpisodes(uri: string, to: string, { episodes: named = [], scoreBelow = 0 }: DropRule, options: EditOptions = {}): Promise<DropResult> {
  const dropped: DropResult['dropped'][number][] = [];
  const copied = await edit(to, options, async ({ root, open, counter }) => {
    const source = await open(uri);
    const { recording, tables, episodes } = source;
    const known = new Set(episodes.map(({ episodeIndex }) => episodeIndex));
    const unknown = named.find((number) => !known.has(number));
    if (unknown !== undefined) throw new DatasetError('DATASET_EPISODES', `${uri} has no episode ${unknown} to drop`, { episode: unknown });
    const scores = scoreBelow > 0 ? await scoresOf(recording, episodes, tables) : null;
    const kept = episodes.filter(({ episodeIndex }, i) => {
      const score = scores?.[i]?.score ?? null;
      const isBad = score !== null && score < scoreBelow;
      if (!isBad && !named.includes(episodeIndex)) return true;
      dropped.push({ episode: episodeIndex, score });
      return false;
    });
    if (kept.length === 0 || dropped.length === 0) {
      const best = scores === null ? '' : `; the scores are from ${Math.min(...scores.map(({ score }) => score))} to ${Math.max(...scores.map(({ score }) => score))}`;
      throw new DatasetError('DATASET_EPISODES', `${uri}: ${kept.length === 0 ? 'no episode would be left' : 'no episode is to be dropped'}${best}`, {
        hint: 'Name episodes with --episodes, or choose another score with --score-below.',
      });
    }
    const { wholeVideos, signal } = options;
    const hooks = { onEpisode: counter(kept.length), ...(wholeVideos === undefined ? {} : { wholeVideos }), ...(signal === undefined ? {} : { signal }) };
    return await writeEdited(root, to, [{ source, episodes: kept }], hooks);
  });
  return { ...copied, dropped };
}
