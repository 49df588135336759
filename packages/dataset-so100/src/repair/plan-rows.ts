import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import { assertUsable, byGappedIndex, rowsOf } from '../read/episode-rows.ts';
import type { FrameTable } from '../read/frame-table.ts';

/** Which rows of a data file make an episode. */
export interface RowPlan {
  /** In the order of the frames. */
  readonly rows: Int32Array;
  /** What differs from the file and its metadata, for people. */
  readonly changes: readonly string[];
}

/**
 * Finds the frames of an episode in rows that may be doubled, out of order, or more or fewer than the metadata says.
 *
 * @throws DatasetError `DATASET_ROWS` where a frame is missing in between or a row cannot be used
 */
export function planRows(table: FrameTable, episode: EpisodeRecord): RowPlan {
  const { episodeIndex, length } = episode;
  const found = rowsOf(table, episodeIndex);
  assertUsable(table, found, episodeIndex);
  const trimmed = found.length === length ? byGappedIndex(table, found) : null;
  const rows = trimmed ?? (table.frameIndex === null ? withoutDoubled(table, found, length) : byFrameIndex(table, found, episodeIndex));
  const changes: string[] = [];
  if (trimmed !== null) changes.push('frame_index numbered anew, without the gaps that it had');
  if (rows.length === 0) {
    throw new DatasetError('DATASET_ROWS', `${table.path} has no rows of episode ${episodeIndex}`, {
      file: table.path,
      episode: episodeIndex,
    });
  }
  if (rows.length < found.length) changes.push(`${found.length - rows.length} doubled rows left out`);
  else if (rows.some((row, k) => row !== found[k])) changes.push('rows put in the order of their frames');
  if (rows.length !== length) changes.push(`length corrected from ${length} to ${rows.length} frames`);
  return { rows, changes };
}

/** The first row of each frame; frames are numbered from 0 without a gap. */
function byFrameIndex(table: FrameTable, found: Int32Array, episode: number): Int32Array {
  const first = new Map<number, number>();
  for (const row of found) {
    const frame = table.frameIndex![row]!;
    if (!first.has(frame)) first.set(frame, row);
  }
  return Int32Array.from({ length: first.size }, (_, frame) => {
    const row = first.get(frame);
    if (row !== undefined) return row;
    throw new DatasetError('DATASET_ROWS', `${table.path} lacks frame ${frame} of episode ${episode}`, {
      file: table.path,
      episode,
    });
  });
}

/** Without frame numbers: rows listed twice one after the other, or the whole episode twice, are seen by their values. */
function withoutDoubled(table: FrameTable, found: Int32Array, length: number): Int32Array {
  if (length === 0 || found.length !== 2 * length) return found;
  const once = (row: number, twin: number): boolean => isSame(table, row, twin);
  const everySecond = found.filter((_, k) => k % 2 === 0);
  if (everySecond.every((row, k) => once(row, found[2 * k + 1]!))) return everySecond;
  const firstHalf = found.slice(0, length);
  return firstHalf.every((row, k) => once(row, found[length + k]!)) ? firstHalf : found;
}

function isSame({ state, action, rowCount }: FrameTable, a: number, b: number): boolean {
  return [state, action].every((values) => {
    const size = values.length / rowCount;
    for (let i = 0; i < size; i++) if (values[a * size + i] !== values[b * size + i]) return false;
    return true;
  });
}
