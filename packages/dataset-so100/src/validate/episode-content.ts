import { createHash } from 'node:crypto';
import type { FrameTable } from '../read/frame-table.ts';

/** The values that an episode's frames hold, in their order. */
export interface EpisodeContent {
  /** `frames × state size`, row-major. */
  readonly state: Float32Array;
  /** `frames × action size`, row-major. */
  readonly action: Float32Array;
}

/** Picks rows out of a data file. */
export function contentOf(table: FrameTable, rows: Int32Array): EpisodeContent {
  return { state: pick(table.state, table.rowCount, rows), action: pick(table.action, table.rowCount, rows) };
}

/**
 * Hex SHA-256 of an episode's states and actions: the same recording in another dataset, under another number, in another
 * format or with its doubled frames removed has the same.
 */
export function contentHash({ state, action }: EpisodeContent): string {
  return createHash('sha256')
    .update(`${state.length} ${action.length}\0`)
    .update(bytesOf(state))
    .update(bytesOf(action))
    .digest('hex');
}

function pick(values: Float32Array, rowCount: number, rows: Int32Array): Float32Array {
  const size = values.length / Math.max(1, rowCount);
  const picked = new Float32Array(rows.length * size);
  rows.forEach((row, k) => {
    picked.set(values.subarray(row * size, (row + 1) * size), k * size);
  });
  return picked;
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
