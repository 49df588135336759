import { DatasetError } from '../errors.ts';
import { TableThread } from '../format/table-thread.ts';
import { findEpisodeRows } from '../read/episode-rows.ts';
import { chooseSound } from '../read/choose-sound.ts';
import { readRecording } from '../read/recording.ts';
import { EpisodeTables } from '../read/episode-tables.ts';
import { inFileOrder } from '../read/rows.ts';
import { locateDataset, type SourceOptions } from '../read/source.ts';
import { contentHash, contentOf } from './episode-content.ts';
import type { Finding } from './findings.ts';

/** Recorded episode number → hex hash of its states and actions. */
export type EpisodeContents = Readonly<Record<number, string>>;

/** A dataset's address with what is in it. */
export interface NamedContents {
  readonly uri: string;
  readonly contents: EpisodeContents;
}

/**
 * Hashes the states and actions of every episode that an address chooses; images are not looked at.
 *
 * @throws DatasetError where the rows cannot be read
 */
export async function readContents(uri: string, options: SourceOptions = {}): Promise<EpisodeContents> {
  const source = await locateDataset(uri, options);
  return await TableThread.use(async (tables) => {
    const recording = await readRecording(source.root, tables);
    const episodes = await chooseSound(recording, source, tables);
    await source.fetch(episodes, recording.info);
    const contents: Record<number, string> = {};
    const files = new EpisodeTables(recording, tables, source.fetchData);
    for (const member of inFileOrder(episodes)) {
      options.signal?.throwIfAborted();
      const episode = episodes[member]!;
      const { table } = await files.of(episode);
      contents[episode.episodeIndex] = contentHash(contentOf(table, findEpisodeRows(table, episode).rows));
    }
    return contents;
  });
}

/** Episodes of `a` that `b` has too, whatever their numbers and formats are. */
export function findOverlap(a: NamedContents, b: NamedContents): Finding[] {
  const inB = new Map(Object.entries(b.contents).map(([episode, hash]) => [hash, Number(episode)]));
  return Object.entries(a.contents).flatMap(([number, hash]): Finding[] => {
    const twin = inB.get(hash);
    if (twin === undefined) return [];
    const episode = Number(number);
    const message = `Episode ${episode} of ${a.uri} is also in ${b.uri}, as episode ${twin}.`;
    return [{ severity: 'error', code: 'OVERLAP', message, episode, other: b.uri }];
  });
}

/**
 * Proves that no recording is in two datasets: what nobody may train on is in no training set, and no two clients train on
 * the same. A run fails on it.
 *
 * @throws DatasetError `DATASET_OVERLAP` naming both; or what {@link readContents} throws
 */
export async function assertNoOverlap(uris: readonly string[], options: SourceOptions = {}): Promise<void> {
  const seen: NamedContents[] = [];
  for (const uri of uris) {
    const named = { uri, contents: await readContents(uri, options) };
    for (const other of seen) {
      const [first] = findOverlap(other, named);
      if (first === undefined) continue;
      throw new DatasetError('DATASET_OVERLAP', first.message.replace(/\.$/, ''), {
        episode: first.episode!,
        hint: 'Give every recording to one place only: leave it out of one of them with ?episodes=….',
      });
    }
    seen.push(named);
  }
}
