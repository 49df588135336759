import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { TableReader } from '../format/table-reader.ts';
import { scoreEpisodes, type EpisodeScore } from '../motion/score-episodes.ts';
import { unitsOf } from '../units/units-of.ts';
import { EpisodeTables } from './episode-tables.ts';
import { chooseEpisodes, type Recording } from './recording.ts';
import { readRows } from './rows.ts';
import type { DatasetSource } from './source.ts';

/**
 * The episodes that an address chooses: by number, and of those the ones that move soundly where it asks for a least score. Scores
 * are of the movement alone; images are not looked at. The rows of all chosen by number are read for it.
 *
 * @param wanted recorded numbers; null for all
 * @throws DatasetError `DATASET_EPISODES` for numbers that are not there, and where no episode has the score
 */
export async function chooseSound(
  recording: Recording,
  source: Pick<DatasetSource, 'episodes' | 'minScore' | 'fetch' | 'fetchData'>,
  tables: TableReader,
  wanted: readonly number[] | null = source.episodes,
): Promise<readonly EpisodeRecord[]> {
  const chosen = chooseEpisodes(recording, wanted);
  if (source.minScore <= 0) return chosen;
  await source.fetch(chosen, recording.info);
  const scores = await scoresOf(recording, chosen, new EpisodeTables(recording, tables, source.fetchData));
  const sound = chosen.filter((_, i) => scores[i]!.score >= source.minScore);
  if (sound.length > 0) return sound;
  const best = Math.max(...scores.map(({ score }) => score));
  throw new DatasetError('DATASET_EPISODES', `${recording.folder.root}: no episode has a score of ${source.minScore} or more; the best has ${best}`, {
    hint: 'Ask for less; `zk0-client dataset doctor` says what was found.',
  });
}

/**
 * How soundly each of some episodes moves. Their rows are in memory together.
 *
 * @throws DatasetError naming file and row
 */
export async function scoresOf(recording: Recording, episodes: readonly EpisodeRecord[], tables: EpisodeTables): Promise<readonly EpisodeScore[]> {
  const { info } = recording;
  const rows = await readRows(recording, episodes, tables);
  const [states, actions] = [info.state.names.length, info.action.names.length];
  const moved = episodes.map(({ episodeIndex }, i) => {
    const [from, to] = [rows.offsets[i]!, rows.offsets[i + 1]!];
    return {
      episodeIndex,
      state: rows.state.subarray(from * states, to * states),
      action: rows.action.subarray(from * actions, to * actions),
      timestamps: rows.timestamp.subarray(from, to),
    };
  });
  const { joints } = unitsOf(info, rows, undefined);
  return scoreEpisodes(moved, { fps: info.fps, robotType: info.robotType, stateNames: info.state.names, actionNames: info.action.names, joints });
}
