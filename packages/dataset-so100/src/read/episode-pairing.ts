import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import { regularClock, type FrameClock } from '../video/frame-clock.ts';
import type { Mp4Summary } from '../video/mp4.ts';
import { decidePairing, positionTime, type FrameSpan, type Pairing, type PairingDecision } from './frame-pairing.ts';
import type { Recording } from './recording.ts';
import { claimsOf, nextBeginning } from './video-claims.ts';

/** The clock of a video; the regular one of the dataset where its tables do not say. */
export function clockOf({ clock, frameCount }: Pick<Mp4Summary, 'clock' | 'frameCount'>, fps: number): FrameClock {
  return clock ?? regularClock(frameCount === 0 ? Infinity : frameCount, 1 / fps);
}

/**
 * The part of each camera's video that is an episode's: from where it begins to where it ends by the metadata, the next episode
 * begins, or the file ends.
 *
 * @param videoOf the video file at a path inside the dataset; undefined for one that cannot be read, whose camera is left out
 */
export function spansOf(
  recording: Recording,
  { videos }: EpisodeRecord,
  videoOf: (file: string) => Pick<Mp4Summary, 'clock' | 'frameCount'> | undefined,
  fps: number = recording.info.fps,
): Map<string, FrameSpan> {
  const spans = new Map<string, FrameSpan>();
  for (const [camera, { file, fromTimestamp: from, toTimestamp }] of videos) {
    const video = videoOf(file);
    if (video === undefined) continue;
    const clock = clockOf(video, fps);
    const next = nextBeginning(claimsOf(recording).get(file) ?? [], from);
    const end = Math.min(next, toTimestamp ?? Infinity);
    const first = clock.nearest(from);
    const last = end === Infinity ? clock.count : Math.min(clock.count, indexAt(clock, end));
    spans.set(camera, { clock, from, frames: Math.max(0, last - first) });
  }
  return spans;
}

/** The frame that begins at a time, one past the last where it is the video's end. */
function indexAt(clock: FrameClock, time: number): number {
  const frame = clock.nearest(time);
  const step = clock.step ?? clock.timeOf(frame) - clock.timeOf(Math.max(0, frame - 1));
  return time - clock.timeOf(frame) > step / 2 ? frame + 1 : frame;
}

/**
 * Decides how an episode's rows are paired with its frames; see {@link decidePairing}.
 *
 * @throws DatasetError `DATASET_VIDEO` where neither position nor timestamp is sure
 */
export function pairEpisode(
  { folder, info }: Recording,
  { episodeIndex }: EpisodeRecord,
  timestamps: Float64Array,
  spans: ReadonlyMap<string, FrameSpan>,
  fps: number = info.fps,
): PairingDecision & { readonly pairing: Pairing } {
  const { pairing, why } = decidePairing(timestamps, [...spans.values()], fps);
  if (pairing !== null) return { pairing, why };
  throw new DatasetError('DATASET_VIDEO', `${folder.root}: which frame belongs to which row of episode ${episodeIndex} cannot be told: ${why!}`, {
    episode: episodeIndex,
    hint: 'Leave the episode out with ?episodes=…, or say which is right with ?lookup=position or ?lookup=timestamp.',
  });
}

/** Seconds into a camera's video at which the frame of a row is shown. */
export function frameTime(span: Pick<FrameSpan, 'clock' | 'from'>, pairing: Pairing, position: number, timestamp: number, fps: number): number {
  return span.from + (pairing === 'timestamp' ? timestamp : positionTime(span, position, fps));
}
