import { DatasetError } from '../errors.ts';
import { frameTime, pairEpisode, spansOf } from '../read/episode-pairing.ts';
import type { FrameLookup } from '../read/lerobot-dataset.ts';
import type { Recording } from '../read/recording.ts';
import type { VideoFile } from '../read/videos.ts';
import type { EpisodeFacts } from './check-rows.ts';
import type { Findings } from './findings.ts';

/** Seconds into a camera's video at which the frame of a position is shown. */
export type FrameTimes = (camera: string, position: number) => number;

/**
 * Decides for every episode how its rows are paired with frames; reports episodes of which it cannot be told, and what was decided
 * where timestamps stray from the frame rate.
 *
 * @returns by episode number, for those that are sure
 */
export function checkPairing(
  recording: Recording,
  facts: readonly EpisodeFacts[],
  videos: ReadonlyMap<string, VideoFile>,
  lookup: FrameLookup,
  findings: Findings,
): ReadonlyMap<number, FrameTimes> {
  const { fps } = recording.info;
  const sure = new Map<number, FrameTimes>();
  for (const { episode, timestamps, drift, file } of facts) {
    const { episodeIndex } = episode;
    const spans = spansOf(recording, episode, (path) => videos.get(path)?.summary);
    try {
      const decided = lookup === 'evidence' ? pairEpisode(recording, episode, timestamps, spans) : { pairing: lookup, why: 'as asked for' };
      const { pairing, why } = decided;
      sure.set(episodeIndex, (camera, position) => frameTime(spans.get(camera)!, pairing, position, timestamps[position]!, fps));
      if (drift === null) continue;
      const how = spans.size === 0 ? '' : `; frames are read by ${pairing}${why === null ? '' : `: ${why}`}`;
      findings.add('info', 'TIMESTAMPS', `Episode ${episodeIndex}: ${drift}${how}.`, { file, episode: episodeIndex });
    } catch (error) {
      if (!(error instanceof DatasetError)) throw error;
      findings.addError(error);
    }
  }
  return sure;
}
