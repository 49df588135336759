import type { DatasetRows } from './rows.ts';

/** How far the recorded timestamps of a dataset stray from its frame rate, in seconds. */
export interface TimestampDrift {
  /** Largest `|timestamp − k / fps|` of any frame k of an episode: what adds up over an episode. */
  readonly fromGrid: number;
  /** Largest `|step − 1 / fps|` between neighbouring frames. */
  readonly step: number;
}

/** Measures the drift over all episodes. */
export function timestampDrift(rows: Pick<DatasetRows, 'timestamp' | 'offsets'>, fps: number): TimestampDrift {
  const { timestamp, offsets } = rows;
  let fromGrid = 0;
  let step = 0;
  for (let episode = 0; episode + 1 < offsets.length; episode++) {
    const from = offsets[episode]!;
    for (let frame = from; frame < offsets[episode + 1]!; frame++) {
      fromGrid = Math.max(fromGrid, Math.abs(timestamp[frame]! - (frame - from) / fps));
      if (frame > from) step = Math.max(step, Math.abs(timestamp[frame]! - timestamp[frame - 1]! - 1 / fps));
    }
  }
  return { fromGrid, step };
}
