import type { EpisodeRecord } from '../format/episodes.ts';
import { findEpisodeRows } from '../read/episode-rows.ts';
import type { EpisodeTable, EpisodeTables } from '../read/episode-tables.ts';
import type { FrameTable } from '../read/frame-table.ts';
import type { Recording } from '../read/recording.ts';
import { inFileOrder } from '../read/rows.ts';
import { taskOfRow } from '../read/task-of-row.ts';
import { momentsOf } from '../stats/moments.ts';
import type { FeatureMoments } from '@zk0/core';
import { contentHash, contentOf, type EpisodeContent } from './episode-content.ts';
import { SchemaCheck } from './check-schema.ts';
import type { Findings } from './findings.ts';
import type { ValidateOptions } from './validate.ts';

/** What the rows of a sound episode are, for later checks. */
export interface EpisodeFacts {
  readonly episode: EpisodeRecord;
  readonly state: FeatureMoments;
  readonly action: FeatureMoments;
  /** Hex SHA-256 of its states and actions. */
  readonly hash: string;
  /** Its data file, and which of the file's rows are its frames. */
  readonly file: string;
  /** The file's path inside the dataset. */
  readonly dataFile: string;
  readonly rows: Int32Array;
  readonly content: EpisodeContent;
  /** Seconds since the episode's beginning, of each frame. */
  readonly timestamps: Float64Array;
  /** `task_index` of its first row. */
  readonly task: number | undefined;
  /** The column `index` of its rows. */
  readonly index: Float64Array | null;
  /** How far they stray from the frame rate, in words; null where they do not. */
  readonly drift: string | null;
}

/** Fewer frames than this tell no rate. */
const MIN_FRAMES_FOR_RATE = 10;

/** LeRobot looks frames up within so many seconds; float32 holds the times of half an hour so exactly. */
const ON_GRID = 1e-4;

/** Wall clocks of real recorders were found to run up to 15 % off; rates that people record at differ by more. */
const RATE_TOLERANCE = 0.2;

/** A clock that is further off is reported. */
const UNEVEN_RATE = 0.05;

/** Reads every data file; reports damage, doubled frames and timestamps. Returns the episodes that can be read. */
export async function checkRows(
  recording: Recording,
  episodes: readonly EpisodeRecord[],
  tables: EpisodeTables,
  findings: Findings,
  { signal, onCheck }: Pick<ValidateOptions, 'signal' | 'onCheck'> = {},
): Promise<readonly EpisodeFacts[]> {
  const { info } = recording;
  const sound: EpisodeFacts[] = [];
  const schema = new SchemaCheck(recording, findings);
  const absent = new Set<string>();
  // A file that cannot be read fails for each of its episodes, and is reported once.
  const reported = new Set<unknown>();
  for (const [done, member] of inFileOrder(episodes).entries()) {
    signal?.throwIfAborted();
    onCheck?.({ phase: 'rows', done, total: episodes.length });
    const episode = episodes[member]!;
    try {
      const found = await tables.of(episode);
      const { table, note } = found;
      const where = { file: table.path, episode: episode.episodeIndex };
      schema.look(table);
      if (note !== null) findings.add('warning', 'MOVED_ROWS', note, where);
      for (const column of absentColumns(table)) if (column !== 'episode_index' || note === null) absent.add(column);
      const { rows, warning } = findEpisodeRows(table, episode);
      if (warning !== null) findings.add('warning', 'DOUBLED_FRAMES', warning, where);
      checkTasks(recording, table, rows, episode, findings);
      const drift = checkTimestamps(table, rows, episode, info.fps, findings);
      sound.push({ ...factsOf(recording, found, rows, episode), drift });
    } catch (error) {
      if (reported.has(error)) continue;
      reported.add(error);
      findings.addError(error);
    }
  }
  for (const column of absent) {
    findings.add('info', 'QUIRK', `The rows have no column "${column}"; ${SUBSTITUTES[column as keyof typeof SUBSTITUTES]}.`);
  }
  return sound;
}

/** What is read instead of a column that is not there. */
const SUBSTITUTES = {
  timestamp: 'the time of a frame is its position divided by the frame rate',
  frame_index: 'frames are taken in the order of the rows',
  episode_index: 'every row of a file is taken for its one episode',
  task_index: "an episode's own list names its task",
} as const;

function absentColumns(table: FrameTable): (keyof typeof SUBSTITUTES)[] {
  const { timestamp, frameIndex, episodeIndex, taskIndex } = table;
  const columns = { timestamp, frame_index: frameIndex, episode_index: episodeIndex, task_index: taskIndex };
  return (Object.keys(columns) as (keyof typeof SUBSTITUTES)[]).filter((name) => columns[name] === null);
}

/** Reports episodes with the same states and actions: the same recording twice. */
export function checkDuplicates(facts: readonly EpisodeFacts[], findings: Findings): void {
  const seen = new Map<string, number>();
  for (const { episode, hash } of facts) {
    const first = seen.get(hash);
    if (first === undefined) seen.set(hash, episode.episodeIndex);
    else {
      const message = `Episode ${episode.episodeIndex} holds the same states and actions as episode ${first}.`;
      findings.add('warning', 'DUPLICATE_EPISODE', message, { episode: episode.episodeIndex });
    }
  }
}

function factsOf({ info }: Recording, { table, file }: EpisodeTable, rows: Int32Array, episode: EpisodeRecord): Omit<EpisodeFacts, 'drift'> {
  const content = contentOf(table, rows);
  return {
    episode,
    state: momentsOf(content.state, info.state.names.length),
    action: momentsOf(content.action, info.action.names.length),
    hash: contentHash(content),
    content,
    file: table.path,
    dataFile: file,
    rows,
    task: table.taskIndex?.[rows[0]!],
    index: table.index === null ? null : Float64Array.from(rows, (row) => table.index![row]!),
    timestamps: Float64Array.from(rows, (row, k) => table.timestamp?.[row] ?? k / info.fps),
  };
}

function checkTasks({ tasks }: Recording, table: FrameTable, rows: Int32Array, episode: EpisodeRecord, findings: Findings): void {
  const { episodeIndex } = episode;
  const seen = new Set<number | undefined>();
  for (const row of rows) {
    const index = table.taskIndex?.[row];
    if (seen.has(index)) continue;
    seen.add(index);
    const { text, problem } = taskOfRow(tasks, index, episode);
    if (problem === null) continue;
    const where = { file: table.path, row, episode: episodeIndex };
    if (text === undefined) findings.add('error', 'DATASET_METADATA', `${table.path} row ${row}, episode ${episodeIndex}: ${problem}.`, where);
    else findings.add('warning', 'TASK', `Episode ${episodeIndex}: ${problem}; its task is ${JSON.stringify(text.slice(0, 80))}.`, where);
  }
}

function checkTimestamps(
  { timestamp, path }: FrameTable,
  rows: Int32Array,
  { episodeIndex }: EpisodeRecord,
  fps: number,
  findings: Findings,
): string | null {
  if (timestamp === null) return null;
  let drift = 0;
  let step = 0;
  let backwards: number | null = null;
  for (let k = 0; k < rows.length; k++) {
    const now = timestamp[rows[k]!]!;
    drift = Math.max(drift, Math.abs(now - k / fps));
    if (k === 0) continue;
    const difference = now - timestamp[rows[k - 1]!]!;
    step = Math.max(step, Math.abs(difference - 1 / fps));
    if (difference <= 0) backwards ??= rows[k]!;
  }
  const where = { file: path, episode: episodeIndex };
  // Over a whole episode the unevenness of single steps averages out.
  const seconds = timestamp[rows.at(-1)!]! - timestamp[rows[0]!]!;
  const rate = (rows.length - 1) / seconds;
  if (rows.length >= MIN_FRAMES_FOR_RATE && seconds > 0 && Math.abs(rate / fps - 1) > UNEVEN_RATE) {
    const message = `Episode ${episodeIndex}: timestamps advance at ${rate.toFixed(1)} frames a second; meta/info.json says ${fps}.`;
    findings.add(Math.abs(rate / fps - 1) > RATE_TOLERANCE ? 'warning' : 'info', 'FRAME_RATE', message, where);
  }
  if (backwards !== null) {
    const message = `${path} row ${backwards}: time does not advance in episode ${episodeIndex}.`;
    findings.add('warning', 'TIMESTAMPS', message, { ...where, row: backwards });
  }
  if (Math.max(drift, step) <= ON_GRID) return null;
  return `timestamps stray from ${fps} fps by up to ${(step * 1000).toFixed(0)} ms a step, ${drift.toFixed(3)} s (${(drift * fps).toFixed(1)} frames) in all`;
}
