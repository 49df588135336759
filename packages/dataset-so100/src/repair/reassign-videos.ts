import { DatasetError } from '../errors.ts';
import type { EpisodeRecord, VideoSpan } from '../format/episodes.ts';
import type { Recording } from '../read/recording.ts';
import { claimsOf, contradiction, videosOfCamera } from '../read/video-claims.ts';
import { readMp4Summary } from '../video/mp4.ts';

/** A recording whose episodes name the right video files, and what was changed for it. */
export interface Reassigned {
  readonly recording: Recording;
  readonly changes: readonly string[];
}

/**
 * Corrects which video file holds which episode where the metadata contradicts itself and lengths leave one answer: the camera's
 * files, in order, hold all episodes, in order, each file exactly filled. Cameras that leave no answer stay as they are, and
 * reading their episodes fails.
 *
 * @param fps the videos' frame rate
 */
export async function reassignVideos(recording: Recording, fps: number): Promise<Reassigned> {
  if (recording.info.version !== 'v3.0') return { recording, changes: [] };
  const changes: string[] = [];
  const spans = new Map<string, readonly VideoSpan[]>();
  for (const { key, kind } of recording.info.cameras) {
    if (kind !== 'video' || !(await isContradictory(recording, key, fps))) continue;
    const right = await spansInOrder(recording, key, fps);
    if (right === null) continue;
    spans.set(key, right);
    changes.push(`${key}: meta/ claimed the same or missing frames for several episodes; the files that their lengths tell are used instead`);
  }
  if (spans.size === 0) return { recording, changes };
  const episodes = recording.episodes.map((episode, i): EpisodeRecord => {
    const videos = new Map(episode.videos);
    for (const [key, list] of spans) videos.set(key, list[i]!);
    return { ...episode, videos };
  });
  return { recording: { ...recording, episodes }, changes };
}

async function isContradictory(recording: Recording, camera: string, fps: number): Promise<boolean> {
  for (const [file, claims] of claimsOf(recording)) {
    if (claims[0]!.camera !== camera) continue;
    const count = await countOf(recording, file);
    if (contradiction(claims, count ?? 0, fps) !== null) return true;
  }
  return false;
}

async function spansInOrder(recording: Recording, camera: string, fps: number): Promise<readonly VideoSpan[] | null> {
  const { episodes } = recording;
  const spans: VideoSpan[] = [];
  for (const file of await videosOfCamera(recording, camera)) {
    const count = await countOf(recording, file);
    if (count === null || count === 0) return null;
    let filled = 0;
    while (filled < count && spans.length < episodes.length) {
      spans.push({ file, fromTimestamp: filled / fps, toTimestamp: null });
      filled += episodes[spans.length - 1]!.length;
    }
    if (filled !== count) return null;
  }
  return spans.length === episodes.length ? spans : null;
}

/** Frames of a file; null where it cannot be read. */
async function countOf({ folder }: Recording, file: string): Promise<number | null> {
  try {
    return (await readMp4Summary(await folder.resolve(file))).frameCount;
  } catch (error) {
    if (error instanceof DatasetError) return null;
    throw error;
  }
}
