import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { TableReader } from '../format/table-reader.ts';
import { walkFiles } from '../format/walk-files.ts';
import type { FrameTable } from './frame-table.ts';
import type { Recording } from './recording.ts';

/** The data file that holds an episode's rows. */
export interface EpisodeTable {
  readonly table: FrameTable;
  /** Its path inside the dataset. */
  readonly file: string;
  /** How it was found where the metadata does not lead to it; null where it does. */
  readonly note: string | null;
}

/** Data files of one dataset that are looked through for an episode's rows. */
const MAX_DATA_FILES = 100_000;

/**
 * Finds the data file of each episode. Rows belong to the episode that their `episode_index` names, whichever file of `data/`
 * holds them: LeRobot reads all of them, and editing tools leave stale file numbers in `meta/episodes`. Of v2.x, where a file
 * holds one episode, a file whose rows carry another number is taken for the episode that its name says, unless its rows
 * belong to an episode whose file holds this one's.
 *
 * The file read last is kept: ask for the episodes of one file one after the other.
 */
export class EpisodeTables {
  readonly #recording: Recording;
  readonly #tables: TableReader;
  readonly #fetchAll: () => Promise<void>;
  #last: FrameTable | null = null;
  #lastFile = '';
  readonly #failures = new Map<string, unknown>();
  /** File → how many rows of which episode it holds; of every file read so far. */
  readonly #contents = new Map<string, ReadonlyMap<number, number>>();
  #others: Promise<readonly string[]> | null = null;

  /** @param fetchAll has every data file there; called before files that no episode names are looked through */
  constructor(recording: Recording, tables: TableReader, fetchAll: () => Promise<void> = () => Promise.resolve()) {
    this.#recording = recording;
    this.#tables = tables;
    this.#fetchAll = fetchAll;
  }

  /** @throws DatasetError where no file holds the episode's rows; the same error again for a file that failed before */
  async of(episode: EpisodeRecord): Promise<EpisodeTable> {
    const { dataFile, episodeIndex } = episode;
    const isShared = this.#recording.info.version === 'v3.0';
    let missing: unknown = null;
    try {
      const table = await this.#read(dataFile);
      if (table.episodeIndex === null || this.#contents.get(dataFile)!.has(episodeIndex)) return { table, file: dataFile, note: null };
      if (!isShared) return await this.#renamed(episode, table);
    } catch (error) {
      const isMissing = error instanceof DatasetError && error.code === 'DATASET_FILE_MISSING';
      if (!isShared || !isMissing) throw error;
      missing = error;
    }
    const found = await this.#search(episodeIndex);
    if (found !== null) {
      const note = `Episode ${episodeIndex}: meta/episodes names ${dataFile}; its rows are in ${found.file} and are read from there.`;
      return { ...found, note };
    }
    if (missing !== null) throw missing as Error;
    throw new DatasetError('DATASET_ROWS', `${this.#recording.folder.join(dataFile)} has no rows of episode ${episodeIndex}, nor has another file of data/`, {
      file: this.#recording.folder.join(dataFile),
      episode: episodeIndex,
      hint: 'Leave the episode out with ?episodes=…, or copy or download the dataset again.',
    });
  }

  async #read(file: string): Promise<FrameTable> {
    if (this.#last !== null && this.#lastFile === file) return this.#last;
    if (this.#failures.has(file)) throw this.#failures.get(file) as Error;
    this.#last = null;
    const { folder, info } = this.#recording;
    try {
      const table = await this.#tables.frames(await folder.resolve(file), info.state, info.action);
      this.#last = table;
      this.#lastFile = file;
      if (!this.#contents.has(file)) this.#contents.set(file, countByEpisode(table));
      return table;
    } catch (error) {
      this.#failures.set(file, error);
      throw error;
    }
  }

  /** Looks through all of `data/` for the rows of an episode. */
  async #search(episodeIndex: number): Promise<{ readonly file: string; readonly table: FrameTable } | null> {
    this.#others ??= this.#fetchAll().then(() => this.#list());
    for (const file of await this.#others) {
      if (this.#failures.has(file)) continue;
      try {
        if (!this.#contents.has(file)) await this.#read(file);
        if (this.#contents.get(file)!.has(episodeIndex)) return { file, table: await this.#read(file) };
      } catch (error) {
        // A damaged file that no episode names keeps nobody from reading the others.
        if (!(error instanceof DatasetError)) throw error;
      }
    }
    return null;
  }

  async #list(): Promise<readonly string[]> {
    const root = await this.#recording.folder.resolve('data', { kind: 'folder' }).catch(() => null);
    const files: string[] = [];
    if (root === null) return files;
    for await (const path of walkFiles(root)) {
      if (path.endsWith('.parquet')) files.push(`data/${path}`);
      if (files.length > MAX_DATA_FILES) break;
    }
    return files.sort();
  }

  /** A file of v2.x whose rows carry another episode's number. */
  async #renamed(episode: EpisodeRecord, table: FrameTable): Promise<EpisodeTable> {
    const { episodeIndex, dataFile, length } = episode;
    const numbers = [...this.#contents.get(dataFile)!.keys()];
    const where = { file: table.path, episode: episodeIndex };
    if (numbers.length !== 1) {
      throw new DatasetError('DATASET_ROWS', `${table.path} holds rows of the episodes ${numbers.slice(0, 10).join(', ')}, none of ${episodeIndex}`, {
        ...where,
        hint: 'Leave the episode out with ?episodes=…, or copy or download the dataset again.',
      });
    }
    const number = numbers[0]!;
    const partner = await this.#exchanged(episodeIndex, number);
    if (partner !== null && !(table.rowCount === length && partner.length !== length)) {
      throw new DatasetError(
        'DATASET_ROWS',
        `${table.path} holds rows of episode ${number}, and its file leads back to episode ${episodeIndex}: whether the files or the rows were exchanged cannot be told`,
        { ...where, hint: 'Give the files the names of their episodes again, or leave these episodes out with ?episodes=….' },
      );
    }
    const note = `${table.path} holds rows numbered as episode ${number}; they are read as episode ${episodeIndex}, which the file's name says.`;
    return { table: { ...table, episodeIndex: null }, file: dataFile, note };
  }

  /** The episode that a row number names, where following numbers from file to file leads back to the first; null otherwise. */
  async #exchanged(first: number, second: number): Promise<EpisodeRecord | null> {
    const byNumber = new Map(this.#recording.episodes.map((one) => [one.episodeIndex, one]));
    const partner = byNumber.get(second);
    const seen = new Set<number>([first]);
    for (let number = second; number !== first; ) {
      const record = byNumber.get(number);
      if (record === undefined || seen.has(number)) return null;
      seen.add(number);
      if (!this.#contents.has(record.dataFile)) {
        const kept = { table: this.#last, file: this.#lastFile };
        await this.#read(record.dataFile).catch((error: unknown) => {
          if (!(error instanceof DatasetError)) throw error;
        });
        [this.#last, this.#lastFile] = [kept.table, kept.file];
      }
      const next = [...(this.#contents.get(record.dataFile)?.keys() ?? [])];
      if (next.length !== 1) return null;
      number = next[0]!;
    }
    return partner ?? null;
  }
}

function countByEpisode({ episodeIndex }: FrameTable): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const number of episodeIndex ?? []) counts.set(number, (counts.get(number) ?? 0) + 1);
  return counts;
}
