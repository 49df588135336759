import { createHash, type Hash } from 'node:crypto';
import type { CameraInfo } from '@zk0/core';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { Recording } from './recording.ts';
import type { DatasetRows } from './rows.ts';
import type { DatasetVideos } from './videos.ts';

/**
 * Identifies the recordings and the chosen episodes: the same for a copy elsewhere or under another name, different as
 * soon as a row, a task, a video or the choice of episodes differs.
 */
export function contentHash(
  recording: Recording,
  episodes: readonly EpisodeRecord[],
  rows: DatasetRows,
  videos: DatasetVideos,
  cameras: readonly CameraInfo[],
): string {
  const { info } = recording;
  const hash = createHash('sha256');
  text(hash, 'zk0-dataset-1');
  text(hash, JSON.stringify([info.robotType, info.fps, info.state.names, info.action.names, cameras]));
  text(hash, JSON.stringify(rows.taskTexts));
  for (const episode of episodes) {
    text(hash, JSON.stringify([episode.episodeIndex, episode.length]));
    for (const [key, span] of episode.videos) {
      text(hash, JSON.stringify([key, videos.files.get(span.file)!.summary.fingerprint, span.fromTimestamp]));
    }
  }
  for (const values of [rows.state, rows.action, rows.timestamp, rows.task]) {
    text(hash, String(values.byteLength));
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest('hex');
}

/** Every text is followed by a NUL, so that no two sequences of texts give the same bytes. */
function text(hash: Hash, value: string): void {
  hash.update(value).update('\0');
}
