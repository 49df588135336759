import type { EpisodeRecord } from '../format/episodes.ts';
import type { Recording } from '../read/recording.ts';
import type { VideoFile } from '../read/videos.ts';
import type { VideoDecoder } from '../video/decoder.ts';
import type { Findings } from './findings.ts';
import type { ValidateOptions } from './validate.ts';
import { ImageSequence, sampledPositions } from './image-sequence.ts';

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
  { signal, onCheck }: Pick<ValidateOptions, 'signal' | 'onCheck'> = {},
): Promise<number> {
  const { fps } = recording.info;
  let decoded = 0;
  for (const [number, { episodeIndex, length, videos: spans }] of episodes.entries()) {
    onCheck?.({ phase: 'images', done: number, total: episodes.length });
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
