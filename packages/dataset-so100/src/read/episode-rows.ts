import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { FrameTable } from './frame-table.ts';

/** The rows of one episode, in the order of its frames. */
export interface EpisodeRows {
  readonly rows: Int32Array;
  /** Set when a repair was needed: what was found and done. */
  readonly warning: string | null;
}

/**
 * Finds the rows of an episode in a data file and proves that they are its frames 0 … length − 1.
 *
 * Doubled datasets (lerobot #1875) list frames twice; the first of each is kept, and said.
 *
 * @throws DatasetError `DATASET_ROWS` naming file and row
 */
export function findEpisodeRows(table: FrameTable, episode: EpisodeRecord): EpisodeRows {
  const { episodeIndex, length } = episode;
  const found = rowsOf(table, episodeIndex);
  assertUsable(table, found, episodeIndex);
  const frame = (k: number): number => table.frameIndex?.[found[k]!] ?? k;
  let isInOrder = found.length === length;
  for (let k = 0; k < length && isInOrder; k++) isInOrder = frame(k) === k;
  if (isInOrder) return { rows: found, warning: null };

  const trimmed = found.length === length ? byGappedIndex(table, found) : null;
  if (trimmed !== null) {
    const warning = `Episode ${episodeIndex}: frame_index has gaps, as where rows were cut out; its ${length} rows are read in that order.`;
    return { rows: trimmed, warning };
  }
  const first = new Int32Array(length).fill(-1);
  let kept = 0;
  for (let k = 0; k < found.length && table.frameIndex !== null; k++) {
    const index = frame(k);
    if (!Number.isInteger(index) || index < 0 || index >= length) {
      throw new DatasetError(
        'DATASET_ROWS',
        `${table.path} row ${found[k]!}: frame_index ${index} of episode ${episodeIndex}, which has ${length} frames by meta/`,
        { file: table.path, row: found[k]!, episode: episodeIndex, hint: REPAIR },
      );
    }
    if (first[index] === -1) {
      first[index] = found[k]!;
      kept++;
    }
  }
  if (kept !== length) {
    throw new DatasetError(
      'DATASET_ROWS',
      `${table.path} has ${found.length} rows of episode ${episodeIndex}; meta/ says ${length} frames`,
      { file: table.path, episode: episodeIndex, hint: REPAIR },
    );
  }
  const what = found.length > length ? 'doubled frames' : 'frames out of order';
  return {
    rows: first,
    warning: `Episode ${episodeIndex} has ${what}: ${found.length} rows for ${length} frames; the first of each is read.`,
  };
}

/**
 * Rows in the order of frame numbers that are all different and have gaps, or begin after 0: rows were cut out of the recording.
 * Null where the numbers are no such.
 */
export function byGappedIndex({ frameIndex }: FrameTable, found: Int32Array): Int32Array | null {
  if (frameIndex === null) return null;
  const rows = found.toSorted((a, b) => frameIndex[a]! - frameIndex[b]!);
  const isIncreasing = rows.every((row, k) => {
    const index = frameIndex[row]!;
    return Number.isInteger(index) && index >= 0 && (k === 0 || index > frameIndex[rows[k - 1]!]!);
  });
  return isIncreasing && rows.length > 0 && frameIndex[rows.at(-1)!]! >= rows.length ? rows : null;
}

/** @throws DatasetError `DATASET_ROWS` naming the first row that cannot be used */
export function assertUsable({ path, badRows }: FrameTable, rows: Int32Array, episode: number): void {
  if (badRows.size === 0) return;
  const row = rows.find((candidate) => badRows.has(candidate));
  if (row === undefined) return;
  throw new DatasetError('DATASET_ROWS', `${path} row ${row}, ${badRows.get(row)!}`, {
    file: path,
    row,
    episode,
    hint: 'Leave the episode out with ?episodes=…, or with `zk0-client dataset validate URI --fix DIR --drop unreadable`.',
  });
}

const REPAIR = 'Leave the episode out with ?episodes=…, or repair the set with `zk0-client dataset validate URI --fix DIR`.';

/** The rows that a data file has of an episode, in their order. */
export function rowsOf(table: FrameTable, episodeIndex: number): Int32Array {
  const { episodeIndex: column, rowCount } = table;
  if (column === null) return Int32Array.from({ length: rowCount }, (_, row) => row);
  const rows: number[] = [];
  for (let row = 0; row < rowCount; row++) if (column[row] === episodeIndex) rows.push(row);
  return Int32Array.from(rows);
}
