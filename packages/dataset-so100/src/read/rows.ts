import { DatasetError } from '../errors.ts';
import { MAX_FRAMES, MAX_ROW_BYTES } from '../limits.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import { findEpisodeRows } from './episode-rows.ts';
import type { EpisodeTables } from './episode-tables.ts';
import type { FrameTable } from './frame-table.ts';
import type { Recording } from './recording.ts';
import { taskOfRow } from './task-of-row.ts';

/** Rows of the chosen episodes, one after the other. */
export interface DatasetRows {
  readonly frameCount: number;
  readonly state: Float32Array;
  readonly action: Float32Array;
  /** As recorded; the regular `k / fps` where a dataset records none. Seconds since the start of the episode. */
  readonly timestamp: Float64Array;
  /** For each frame, an index into `taskTexts`. */
  readonly task: Uint32Array;
  /** For each frame, its row in its data file. */
  readonly row: Uint32Array;
  /** For each episode, its data file. */
  readonly files: readonly string[];
  /** Distinct task texts, in order of first use. */
  readonly taskTexts: readonly string[];
  /** Where each episode begins; one more entry than episodes, the last is `frameCount`. */
  readonly offsets: readonly number[];
  readonly warnings: readonly string[];
}

/**
 * Reads the rows of the episodes; each file once, one file in memory at a time.
 *
 * @throws DatasetError naming file and row
 */
export async function readRows(
  recording: Recording,
  episodes: readonly EpisodeRecord[],
  tables: EpisodeTables,
  signal?: AbortSignal,
): Promise<DatasetRows> {
  const { info } = recording;
  const [stateSize, actionSize] = [info.state.names.length, info.action.names.length];
  const empty = episodes.find(({ length }) => length === 0);
  if (empty !== undefined) {
    throw new DatasetError('DATASET_ROWS', `${recording.folder.root}: episode ${empty.episodeIndex} has no frames`, {
      episode: empty.episodeIndex,
      hint: 'Leave it out with ?episodes=….',
    });
  }
  const offsets = [0];
  for (const episode of episodes) offsets.push(offsets.at(-1)! + episode.length);
  const frameCount = offsets.at(-1)!;
  if (frameCount > MAX_FRAMES || frameCount * (stateSize + actionSize) * 4 > MAX_ROW_BYTES) {
    throw new DatasetError('DATASET_LIMIT', `${recording.folder.root}: ${frameCount} frames are too many to open at once`, {
      hint: 'Choose fewer episodes with ?episodes=….',
    });
  }
  const texts = new TaskTexts(recording);
  const warnings: string[] = [];
  const files = new Array<string>(episodes.length);
  let into: Omit<DatasetRows, 'offsets' | 'warnings' | 'taskTexts' | 'files'> | null = null;
  for (const member of inFileOrder(episodes)) {
    signal?.throwIfAborted();
    const episode = episodes[member]!;
    const { table, note } = await tables.of(episode);
    if (note !== null) warnings.push(note);
    // Allocated only now: a dataset whose metadata claims far too much fails at its first file.
    into ??= {
      frameCount,
      state: new Float32Array(frameCount * stateSize),
      action: new Float32Array(frameCount * actionSize),
      timestamp: new Float64Array(frameCount),
      task: new Uint32Array(frameCount),
      row: new Uint32Array(frameCount),
    };
    files[member] = table.path;
    const { rows, warning } = findEpisodeRows(table, episode);
    if (warning !== null) warnings.push(warning);
    for (let k = 0; k < rows.length; k++) {
      const row = rows[k]!;
      const frame = offsets[member]! + k;
      into.state.set(table.state.subarray(row * stateSize, (row + 1) * stateSize), frame * stateSize);
      into.action.set(table.action.subarray(row * actionSize, (row + 1) * actionSize), frame * actionSize);
      into.timestamp[frame] = table.timestamp?.[row] ?? k / info.fps;
      into.row[frame] = row;
      into.task[frame] = texts.idOf(table, row, episode);
    }
  }
  return { ...into!, files, taskTexts: texts.list, offsets, warnings: [...warnings, ...new Set(texts.problems)] };
}

/** Positions in `episodes`, those of one data file after the other: every file is read once. */
export function inFileOrder(episodes: readonly EpisodeRecord[]): readonly number[] {
  const groups = new Map<string, number[]>();
  episodes.forEach(({ dataFile }, member) => {
    const group = groups.get(dataFile);
    if (group === undefined) groups.set(dataFile, [member]);
    else group.push(member);
  });
  return [...groups.values()].flat();
}

/** Numbers the task texts of rows in the order of their first use. */
class TaskTexts {
  readonly list: string[] = [];
  /** What is wrong with what was said, once for each run of rows. */
  readonly problems: string[] = [];
  #last = { key: '', id: 0 };
  readonly #ids = new Map<string, number>();
  readonly #recording: Recording;

  constructor(recording: Recording) {
    this.#recording = recording;
  }

  idOf(table: FrameTable, row: number, episode: EpisodeRecord): number {
    const index = table.taskIndex?.[row];
    const key = `${episode.episodeIndex} ${index}`;
    if (key === this.#last.key) return this.#last.id;
    const { text, problem } = taskOfRow(this.#recording.tasks, index, episode);
    if (text === undefined) {
      throw new DatasetError('DATASET_METADATA', `${table.path} row ${row} of episode ${episode.episodeIndex}: ${problem!}`, {
        file: table.path,
        row,
        episode: episode.episodeIndex,
        hint: 'A policy is told the task in words: correct meta/tasks, or write a copy with `zk0-client dataset validate URI --fix DIR --task "…"`.',
      });
    }
    if (problem !== null) this.problems.push(`Episode ${episode.episodeIndex}: ${problem}; its task is ${JSON.stringify(text.slice(0, 80))}.`);
    const id = this.#idOf(text);
    this.#last = { key, id };
    return id;
  }

  #idOf(text: string): number {
    const known = this.#ids.get(text);
    if (known !== undefined) return known;
    this.list.push(text);
    this.#ids.set(text, this.list.length - 1);
    return this.list.length - 1;
  }
}
