import type { EpisodeRecord } from '../format/episodes.ts';
import type { Recording } from '../read/recording.ts';
import type { VideoFile } from '../read/videos.ts';
import type { VideoDecoder, VideoFrame } from '../video/decoder.ts';
import type { Findings } from './findings.ts';

/** Mean brightness (of 255) below which an image counts as black. */
const BLACK_MEAN = 4;

/** Mean absolute difference (of 255) below which two images count as the same. */
const FROZEN_DIFFERENCE = 0.05;

/** Which frames of an episode to decode. */
export function sampledPositions(length: number, samples: number): readonly number[] {
  if (samples >= length) return Array.from({ length }, (_, position) => position);
  const step = (length - 1) / Math.max(1, samples - 1);
  return Array.from({ length: samples }, (_, i) => Math.round(i * step));
}

/**
 * Decodes frames of every episode and camera; reports what cannot be decoded, black cameras and frozen ones.
 *
 * @param samples frames of each episode to decode, evenly spread from the first to the last
 * @returns how many images were decoded
 */
export async function checkImages(
  recording: Recording,
  episodes: readonly EpisodeRecord[],
  videos: ReadonlyMap<string, VideoFile>,
  decoder: VideoDecoder,
  samples: number,
  findings: Findings,
  signal?: AbortSignal,
): Promise<number> {
  const { fps } = recording.info;
  let decoded = 0;
  for (const { episodeIndex, length, videos: spans } of episodes) {
    for (const [camera, { file, fromTimestamp }] of spans) {
      const video = videos.get(file);
      if (video === undefined) continue;
      const seen = new ImageSequence();
      for (const position of sampledPositions(length, samples)) {
        signal?.throwIfAborted();
        const timestamp = fromTimestamp + position / fps;
        try {
          seen.add(await decoder.frame({ file: video.path, timestamp, tolerance: 0.5 / fps }));
          decoded++;
        } catch (error) {
          findings.addError(error);
        }
      }
      const where = { file: video.path, camera, episode: episodeIndex };
      if (seen.isBlack) findings.add('warning', 'BLACK_CAMERA', `Episode ${episodeIndex}: ${camera} is black.`, where);
      else if (seen.isFrozen) {
        findings.add('warning', 'FROZEN_CAMERA', `Episode ${episodeIndex}: ${camera} always shows the same image.`, where);
      }
    }
  }
  return decoded;
}

class ImageSequence {
  #first: VideoFrame | null = null;
  #count = 0;
  #brightest = 0;
  #largestChange = 0;

  add(image: VideoFrame): void {
    this.#count++;
    this.#brightest = Math.max(this.#brightest, meanOf(image.data));
    if (this.#first === null) this.#first = image;
    else this.#largestChange = Math.max(this.#largestChange, meanDifference(this.#first.data, image.data));
  }

  get isBlack(): boolean {
    return this.#count > 0 && this.#brightest < BLACK_MEAN;
  }

  get isFrozen(): boolean {
    return this.#count > 1 && this.#largestChange < FROZEN_DIFFERENCE;
  }
}

function meanOf(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  return sum / bytes.length;
}

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - (b[i] ?? 0));
  return sum / a.length;
}
