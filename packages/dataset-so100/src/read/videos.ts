import type { CameraInfo } from '@zk0/core';
import { DatasetError } from '../errors.ts';
import type { EpisodeRecord } from '../format/episodes.ts';
import { MAX_IMAGE_SIDE } from '../limits.ts';
import { KNOWN_CODECS } from '../video/backends.ts';
import { readMp4Summary, type Mp4Summary } from '../video/mp4.ts';
import type { Recording } from './recording.ts';
import { assertClaims } from './video-claims.ts';

/** A video file that was found complete. */
export interface VideoFile {
  /** Where it really is. */
  readonly path: string;
  readonly summary: Mp4Summary;
}

/** What the rows need of a video file. */
export interface VideoNeed {
  readonly camera: string;
  /** Frames it must hold. */
  readonly frames: number;
  /** The last episode in it. */
  readonly episode: number;
}

/** The video files of the chosen episodes, each proved complete. */
export interface DatasetVideos {
  /** All cameras; those recorded as video with the size that their videos really have. */
  readonly cameras: readonly CameraInfo[];
  /** Path inside the dataset → where it really is, and what it holds. */
  readonly files: ReadonlyMap<string, VideoFile>;
  readonly warnings: readonly string[];
}

/** Files looked at concurrently. */
const CONCURRENCY = 8;

/**
 * Finds the videos of the chosen episodes and checks, without decoding, that each is there, complete, of a known codec,
 * of one size per camera, and long enough for the frames that the rows claim.
 *
 * @throws DatasetError naming the file
 */
export async function checkVideos(
  recording: Recording,
  episodes: readonly EpisodeRecord[],
  signal?: AbortSignal,
): Promise<DatasetVideos> {
  const cameras = recording.info.cameras.filter((camera) => camera.kind === 'video');
  const files = new Map<string, VideoFile>();
  const queue = [...neededVideos(recording, episodes)];
  const check = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      signal?.throwIfAborted();
      files.set(next[0], await checkVideo(recording, ...next));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, check));

  const warnings: string[] = [];
  const sized = cameras.map(({ key, height, width }): CameraInfo => {
    const summaries = episodes.map((episode) => files.get(episode.videos.get(key)!.file)!);
    const [first] = summaries;
    const other = summaries.find(({ summary }) => {
      return summary.height !== first!.summary.height || summary.width !== first!.summary.width;
    });
    if (other !== undefined) {
      throw new DatasetError(
        'DATASET_VIDEO',
        `${other.path} has frames of ${other.summary.height}×${other.summary.width} pixels, other videos of ${key} ` +
          `${first!.summary.height}×${first!.summary.width}`,
        { file: other.path, hint: 'Leave its episodes out with ?episodes=….' },
      );
    }
    const actual = { key, height: first!.summary.height, width: first!.summary.width };
    if (actual.height !== height || actual.width !== width) {
      warnings.push(`${key} is ${height}×${width} by meta/info.json; its videos are ${actual.height}×${actual.width}.`);
    }
    return actual;
  });
  const inRows = recording.info.cameras.filter((camera) => camera.kind === 'image');
  const all = [...sized, ...inRows.map(({ key, height, width }) => ({ key, height, width }))];
  return { cameras: all.sort((a, b) => (a.key < b.key ? -1 : 1)), files, warnings };
}

/** The video files of the episodes, by path inside the dataset. */
export function neededVideos(recording: Recording, episodes: readonly EpisodeRecord[]): Map<string, VideoNeed> {
  const needed = new Map<string, VideoNeed>();
  for (const { episodeIndex, length, videos } of episodes) {
    for (const [camera, { file, fromTimestamp }] of videos) {
      const frames = Math.round(fromTimestamp * recording.info.fps) + length;
      if (frames > (needed.get(file)?.frames ?? -1)) needed.set(file, { camera, frames, episode: episodeIndex });
    }
  }
  return needed;
}

/**
 * Finds one video file and proves, without decoding, that it is complete, of a known codec and long enough.
 *
 * @throws DatasetError naming the file
 */
export async function checkVideo(recording: Recording, file: string, need: VideoNeed): Promise<VideoFile> {
  const path = await recording.folder.resolve(file, {
    hint: `The video of camera ${need.camera} was not copied or downloaded: get it, or leave its episodes out.`,
  });
  const summary = await readMp4Summary(path);
  await assertClaims(recording, file, path, summary.frameCount);
  assertPlayable(path, summary, need.frames, need.episode);
  assertFrameRate(path, summary, need.frames, recording.info.fps);
  return { path, summary };
}

function assertPlayable(path: string, summary: Mp4Summary, frames: number, episode: number): void {
  if (!KNOWN_CODECS.includes(summary.codec)) {
    throw new DatasetError('DATASET_VIDEO', `${path} is coded as "${summary.codec}", which is not read`, {
      file: path,
      episode,
      hint: `Code it again as one of ${KNOWN_CODECS.join(', ')}.`,
    });
  }
  const { height, width } = summary;
  if (Math.min(height, width) < 1 || Math.max(height, width) > MAX_IMAGE_SIDE) {
    throw new DatasetError('DATASET_LIMIT', `${path} claims images of ${height}×${width} pixels`, { file: path, episode });
  }
  if (summary.frameCount > 0 && summary.frameCount < frames) {
    throw new DatasetError(
      'DATASET_VIDEO',
      `${path} holds ${summary.frameCount} frames; the rows up to episode ${episode} need ${frames}`,
      { file: path, episode, hint: `Leave episode ${episode} out with ?episodes=…, or copy the video again.` },
    );
  }
}

/**
 * Frames are looked for at `k / fps`, within half a frame: a video of another rate has none there.
 *
 * @param frames how many are looked for, from the file's beginning
 * @throws DatasetError `DATASET_VIDEO`
 */
export function assertFrameRate(path: string, summary: Mp4Summary, frames: number, fps: number): void {
  if (summary.fps === null || Math.abs(frames / summary.fps - frames / fps) < 0.5 / fps) return;
  const found = Number(summary.fps.toFixed(3));
  throw new DatasetError('DATASET_VIDEO', `${path} plays at ${found} frames a second; meta/info.json says ${fps}`, {
    file: path,
    hint: 'Correct fps in meta/info.json, or repair the dataset with `zk0-client dataset validate URI --fix DIR`.',
  });
}
