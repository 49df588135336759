import { createHash, type Hash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { CameraInfo } from '@zk0/core';
import type { EpisodeRecord } from '../format/episodes.ts';
import type { Recording } from './recording.ts';
import type { DatasetRows } from './rows.ts';
import type { DatasetVideos } from './videos.ts';

/**
 * Identifies the recordings and the chosen episodes: the same for a copy elsewhere or under another name, different as
 * soon as a row, a task, a video or the choice of episodes differs.
 */
export function contentHash(parts: {
  readonly recording: Recording;
  readonly episodes: readonly EpisodeRecord[];
  readonly rows: DatasetRows;
  readonly videos: DatasetVideos;
  readonly cameras: readonly CameraInfo[];
  /** Fingerprints of the data files, where pictures are in them. */
  readonly pictures: readonly string[];
}): string {
  const { recording, episodes, rows, videos, cameras, pictures } = parts;
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
  for (const fingerprint of pictures) text(hash, fingerprint);
  for (const values of [rows.state, rows.action, rows.timestamp, rows.task]) {
    text(hash, String(values.byteLength));
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest('hex');
}

/** Bytes of each end of a file that go into its fingerprint: a parquet file ends with its tables. */
const FINGERPRINT_BYTES = 65_536;

/** Hex SHA-256 over a file's size and its two ends. */
export async function fileFingerprint(file: string): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const hash = createHash('sha256').update(`${size}:`);
    for (const position of [0, Math.max(0, size - FINGERPRINT_BYTES)]) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(FINGERPRINT_BYTES), 0, FINGERPRINT_BYTES, position);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest('hex');
  } finally {
    await handle.close();
  }
}

/** Every text is followed by a NUL, so that no two sequences of texts give the same bytes. */
function text(hash: Hash, value: string): void {
  hash.update(value).update('\0');
}
