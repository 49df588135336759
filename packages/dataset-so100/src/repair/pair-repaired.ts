import type { EpisodeRecord } from '../format/episodes.ts';
import { frameTime, pairEpisode } from '../read/episode-pairing.ts';
import { TIMESTAMP_TOLERANCE, type FrameSpan } from '../read/frame-pairing.ts';
import type { Recording } from '../read/recording.ts';

/** How a repaired copy keeps rows and frames together, whose videos are copied as they are. */
export interface EpisodePairing {
  /** Seconds into a camera's video at which the frame of a position is shown. */
  readonly timeOf: (camera: string) => (position: number) => number;
  /** Seconds into a camera's video at which the episode begins in the copy. */
  readonly from: (camera: string) => number;
  /** Timestamps that the copy has to keep; null where it gets those of the frame rate's grid. */
  readonly recorded: Float32Array | null;
  /** For people. */
  readonly changes: readonly string[];
}

/**
 * Decides how an episode's rows are paired with frames, and what the copy needs so that nobody pairs them otherwise: an episode whose
 * first rows were cut out begins later in its video; where rows are missing in between, recorded timestamps are kept.
 *
 * @throws DatasetError `DATASET_VIDEO` where neither position nor timestamp is sure
 */
export function pairRepaired(
  recording: Recording,
  episode: EpisodeRecord,
  timestamps: Float64Array,
  spans: ReadonlyMap<string, FrameSpan>,
  fps: number,
): EpisodePairing {
  const { pairing } = pairEpisode(recording, episode, timestamps, spans, fps);
  const timeOf = (camera: string) => {
    const span = spans.get(camera)!;
    return (position: number): number => frameTime(span, pairing, position, timestamps[position]!, fps);
  };
  const begin = (camera: string): number => spans.get(camera)!.from;
  if (pairing === 'position') return { timeOf, from: begin, recorded: null, changes: [] };
  const first = timestamps[0] ?? 0;
  const isWhole = timestamps.every((time, position) => Math.abs(time - first - position / fps) <= TIMESTAMP_TOLERANCE);
  if (isWhole) {
    const changes = [`begins ${first.toFixed(3)} s later in its videos, where its first row belongs`];
    return { timeOf, from: (camera) => begin(camera) + Math.round(first * fps) / fps, recorded: null, changes };
  }
  return { timeOf, from: begin, recorded: Float32Array.from(timestamps), changes: ['timestamps kept: rows in between have no others to lie on their frames'] };
}
